"""Paths in a `run` text that lie in a mount and not in the working folder, where the text begins. Looks, and tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from skyrig.launch import commands

_PATH = re.compile(r"(?:\./)?[\w.-]+(?:/[\w.-]+)+")
"""A relative path in words that are plain: nothing in it is filled in or matched while the text runs."""


def notes(text: str, workdir: Path | None, mounts: Mapping[str, Path | None]) -> list[str]:
    """One line for each path that `text` gives as if it lay in the workdir, though only the source of one of `mounts`
    (by place) has it. A text that goes into the place by itself knows what it does."""
    words = list(dict.fromkeys(_paths(text)))
    found = []
    for place, source in mounts.items():
        if source is None or not source.is_dir() or _goes_into(text, place):
            continue
        for word in words:
            if (source / word).is_file() and not (workdir is not None and (workdir / word).exists()):
                found.append(f"`run` names {word}, which is not in the workdir: did you mean {place}/{word}?")
    return found


def _paths(text: str) -> Iterator[str]:
    for command in commands.read(text):
        for word in command.words:
            if _PATH.fullmatch(word) and ".." not in word.split("/"):
                yield word.removeprefix("./")


def _goes_into(text: str, place: str) -> bool:
    """Whether the text changes into the place or a folder of it; a `cd $FOLDER` may be that."""
    for command in commands.read(text):
        if command.words[0] in ("cd", "pushd") and len(command.words) > 1:
            folder = command.words[1]
            if folder.startswith("$") or f"{folder}/".startswith(f"{place}/"):
                return True
    return False
