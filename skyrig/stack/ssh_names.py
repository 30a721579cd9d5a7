"""Which host names the user's own OpenSSH config gives a meaning to: those are not taken from them."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

_DEPTH = 16
"""How deep OpenSSH follows an Include."""


def taken(file: Path, names: Collection[str], *, but: Path) -> dict[str, Path]:
    """Those of `names` that a Host line of `file`, or of what it includes, spells out, with the file of the line. What
    `but` says does not count; neither do patterns, for `Host *` means options and no host."""
    found: dict[str, Path] = {}
    for host, where in _hosts(file, but, 0):
        if host in names:
            found.setdefault(host, where)
    return found


def _hosts(file: Path, but: Path, depth: int) -> Iterator[tuple[str, Path]]:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not there, or not for us to read: then not for ssh either
        return
    if depth > _DEPTH or file == but:
        return
    for row in text.split("\n"):
        keyword, words = _parsed(row)
        if keyword == "host":
            yield from ((word, file) for word in words)
        elif keyword == "include":
            for each in (each for word in words for each in _included(word)):
                yield from _hosts(each, but, depth + 1)


def _included(pattern: str) -> list[Path]:
    """The files of one Include pattern; a relative one is below ~/.ssh. Paths as text: a `~name` may be unknown."""
    whole = os.path.join(os.path.expanduser("~/.ssh"), os.path.expanduser(pattern))  # noqa: PTH111, PTH118
    return [Path(each) for each in sorted(glob.glob(whole))]  # noqa: PTH207


def _parsed(row: str) -> tuple[str, list[str]]:
    """Keyword, in small letters, and arguments of one line: `Host a "b c"`, `Host=a`."""
    row = row.strip()
    end = next((number for number, c in enumerate(row) if c in " \t="), len(row))
    keyword, rest = row[:end].lower(), row[end:].lstrip(" \t").removeprefix("=")
    if keyword not in ("host", "include"):
        return keyword, []
    try:
        return keyword, shlex.split(rest, comments=True)
    except ValueError:  # a quote is not closed: OpenSSH refuses the whole file
        return keyword, []
