"""Environment variables and secrets of a task, from the file and from the command line.

Of `--env`, `--env-file` and the file's own values the first one that names a variable wins. None of them ever enters
the environment of this process, hence none reaches the engine or a cloud's SDK.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from skyrig.errors import BadInput

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a variable may be called."""

_LINE = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*
    (?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>[^\r\n]*?))
    [ \t]*(?:(?<![^\s'"])\#[^\r\n]*)?(?:\r?\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def given(flag: str, pairs: Iterable[str], files: Iterable[str] = ()) -> dict[str, str]:
    """Values from repeated `K=V` or `K` (the caller's own value) after `files` in dotenv form. `flag` names the
    option in errors, which never show a value."""
    values: dict[str, str] = {}
    for file in files:
        values.update(env_file(Path(file)))
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not NAME.fullmatch(name):
            raise BadInput(f"{flag}: {name!r} is no variable name", hint=f"{flag} NAME=VALUE or {flag} NAME")
        if not equals:
            if name not in os.environ:
                raise BadInput(f"{flag} {name}: not set in your environment", hint=f"give it as {flag} {name}=VALUE")
            value = os.environ[name]
        values[name] = value
    return values


def env_file(path: Path) -> dict[str, str]:
    """A dotenv file: NAME=VALUE lines, with `export`, comments, 'literal' and "escaped" quotes (also over lines)."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise BadInput(f"env file {path} cannot be read: {error.strerror}") from error
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _BLANK.match(text, at)
        if found is None:
            found = _LINE.match(text, at)
            if found is None:
                raise BadInput(f"{path}:{text.count(chr(10), 0, at) + 1}: NAME=VALUE is wanted")
            values[found["name"]] = _value(found)
        at = max(found.end(), at + 1)
    return values


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced from `values`; unknown names stay as they are."""
    return re.sub(
        r"\$\{?\b([A-Za-z_][A-Za-z0-9_]*)\b\}?",
        lambda match: values.get(match[1], match[0]),
        text,
        flags=re.ASCII,
    )


def _value(found: re.Match[str]) -> str:
    if found["single"] is not None:
        return found["single"]
    if found["double"] is not None:
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), found["double"], flags=re.DOTALL)
    return found["plain"].rstrip()
