"""Repairs of text that is copied from web pages and broken in a way that has one clear meaning.

Done on lines, before the text is read as YAML, and only where it would not be what was meant otherwise: bodies of here
documents that lost their indentation, and accelerators without a space behind the colon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import field, frozen

_BLOCK = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_]+):[ \t]*[|>][+-]?[ \t]*(?:#.*)?$")
_HEREDOC = re.compile(r"(?<!<)<<(?P<dash>-?)[ \t]*(?P<quote>['\"\\]?)(?P<word>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)?")
_ACCELERATORS = re.compile(r"^(?P<indent> *)(?:accelerators|gpus):[ \t]*(?:#.*)?$")
_SPACELESS = re.compile(
    r"^(?P<indent> +)(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*):(?P<count>[0-9.]+)(?P<rest>[ \t]*(?:#.*)?)$"
)


@frozen
class Repair:
    """One repair: the `line` it begins at (from 1), `what` it is about, and `how` it is taken now."""

    line: int
    what: str
    how: str


@frozen
class Repaired:
    """A text with its repairs; line numbers stay as they were."""

    text: str
    repairs: list[Repair] = field(factory=list)


def repaired(text: str) -> Repaired:
    """`text`, repaired where it needs it."""
    lines = text.split("\n")
    found = [*_heredocs(lines), *_accelerators(lines)]
    return Repaired("\n".join(lines), found)


def _heredocs(lines: list[str]) -> list[Repair]:
    """Indents the bodies of here documents inside block texts that stand further left than the block."""
    found: list[Repair] = []
    at = 0
    while at < len(lines):
        block = _BLOCK.match(lines[at].rstrip("\r"))
        at += 1
        if block is None:
            continue
        first = next((n for n in range(at, len(lines)) if lines[n].strip()), len(lines))
        indent = _indent(lines[first]) if first < len(lines) else 0
        if indent <= len(block["indent"]):
            continue
        while at < len(lines) and (not lines[at].strip() or _indent(lines[at]) >= indent):
            opening = _HEREDOC.search(lines[at])
            end = _end_of(lines, at + 1, opening["word"]) if opening and not _commented(lines[at]) else None
            if opening is None or end is None:
                at += 1
                continue
            body = [n for n in range(at + 1, end) if lines[n].strip()]
            if any(_indent(lines[n]) < indent for n in [*body, end]):
                _indented(lines, at + 1, end, indent)
                how = f"the text up to {opening['word']} in line {end + 1} stands left of it; taken as part of it"
                found.append(Repair(at + 2, block["key"], how))
            at = end + 1
    return found


def _end_of(lines: Sequence[str], start: int, word: str) -> int | None:
    """The line that ends a here document; None where none does before the next block or document."""
    for number in range(start, len(lines)):
        if lines[number].strip() == word:
            return number
        if lines[number].rstrip() == "---" or _BLOCK.match(lines[number].rstrip("\r")):
            return None
    return None


def _indented(lines: list[str], start: int, end: int, indent: int) -> None:
    """Moves a body to the right so that it reads as it stands; an end word that has the block's indentation stays."""
    for number in range(start, end):
        if lines[number].strip():
            lines[number] = " " * indent + lines[number]
    if _indent(lines[end]) < indent:
        lines[end] = " " * indent + lines[end]


def _commented(line: str) -> bool:
    return line.lstrip().startswith("#")


def _accelerators(lines: list[str]) -> list[Repair]:
    """Puts the missing space into lines below `accelerators:` that read `A100:1`."""
    found: list[Repair] = []
    texts = _block_texts(lines)
    for at, line in enumerate(lines):
        opening = None if at in texts else _ACCELERATORS.match(line.rstrip("\r"))
        if opening is None:
            continue
        matches: list[tuple[int, re.Match[str]]] = []
        for number in range(at + 1, len(lines)):
            bare = lines[number].split("#")[0].strip()
            if not bare:
                continue
            match = _SPACELESS.match(lines[number].rstrip("\r"))
            if match is None or len(match["indent"]) <= len(opening["indent"]):
                break
            matches.append((number, match))
        for number, match in matches:
            lines[number] = f"{match['indent']}{match['name']}: {match['count']}{match['rest']}"
        if matches:
            shown = ", ".join(f"{match['name']}: {match['count']}" for _, match in matches)
            found.append(Repair(matches[0][0] + 1, "resources.accelerators", f"a space is missing; taken as {shown}"))
    return found


def _block_texts(lines: Sequence[str]) -> set[int]:
    """Numbers of the lines that are inside block texts: they are the user's own."""
    inside: set[int] = set()
    for at, line in enumerate(lines):
        block = None if at in inside else _BLOCK.match(line.rstrip("\r"))
        if block is None:
            continue
        for number in range(at + 1, len(lines)):
            if lines[number].strip() and _indent(lines[number]) <= len(block["indent"]):
                break
            inside.add(number)
    return inside


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
