"""Words of shell texts that may be paths below the workdir."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"""'[^'\n]+'|"[^"\n]+"|[^\s'"`;|&()<>]+|>""")
_HOME = re.compile(r"^(?:(?:~|\$HOME|\$\{HOME\})/sky_workdir/)?(?:\./)*")


def paths_in(texts: Sequence[str]) -> list[str]:
    """Every word of the texts that may be a path below the workdir, each once; not those that are written to."""
    found: dict[str, None] = {}
    for match, before in _words("\n".join(texts)):
        if before in (">", "tee", "-a"):
            continue
        for piece in (match, *re.split(r"[=:,@]", match)):
            path = _HOME.sub("", piece)
            if path and not path.startswith("/") and "\0" not in path:
                found[path] = None
    return list(found)


def _words(script: str) -> Iterator[tuple[str, str]]:
    """Words of a shell text without their quotes, each with the word before it."""
    before = ""
    for match in _WORD.finditer(script):
        word = match[0]
        yield word.strip("'\"") if word[0] in "'\"" else word, before
        before = word
