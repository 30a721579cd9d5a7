"""The rules of one .gitignore file, exactly as git reads them.

Patterns and paths are bytes, as in git: `?` is one byte, and names need not be UTF-8. (The pathspec library was tried
and differs from git where entries are judged one by one: `!dir` also takes back the files below, `dir/**` matches the
folder itself, bracket expressions match "/" and know no classes.) A property test compares this module with git.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen

_CLASSES = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": b"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": b"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb" \t\n\r\f\v",
    b"upper": b"A-Z",
    b"xdigit": b"0-9A-Fa-f",
}


@frozen
class _Rule:
    """One line: `regex` is matched whole, against the last part of the path if `name_only`."""

    regex: re.Pattern[bytes]
    ignores: bool
    folders_only: bool
    name_only: bool


class Rules:
    """All rules of one file. Paths given to it are relative to the folder that the file lies in."""

    def __init__(self, text: bytes) -> None:
        lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        self._rules = [rule for line in lines if (rule := _rule(line))]
        self._by_name = _any(rule for rule in self._rules if rule.name_only)
        self._by_path = _any(rule for rule in self._rules if not rule.name_only)

    def verdict(self, path: bytes, *, is_dir: bool) -> bool | None:
        """True where the last rule that fits ignores the entry, False where it takes it back, None where none fits.

        Rules judge an entry alone: what lies in an ignored folder is not to be asked for.
        """
        name = path.rpartition(b"/")[2]
        if not (self._by_name.fullmatch(name) or self._by_path.fullmatch(path)):
            return None
        for rule in reversed(self._rules):
            if (is_dir or not rule.folders_only) and rule.regex.fullmatch(name if rule.name_only else path):
                return rule.ignores
        return None


class _Never(Exception):
    """A pattern that git never matches."""


def _any(rules: Iterable[_Rule]) -> re.Pattern[bytes]:
    """One regex for all of `rules`, which quickly tells that none fits."""
    parts = [rule.regex.pattern for rule in rules]
    return re.compile(b"|".join(parts) or rb"(?!)", re.DOTALL)


def _rule(line: bytes) -> _Rule | None:
    """One line as a rule; None for a comment, an empty line, and what never matches."""
    if line.startswith(b"#"):
        return None
    pattern = _without_trailing_spaces(line.removesuffix(b"\r"))
    ignores = not pattern.startswith(b"!")
    pattern = pattern if ignores else pattern[1:]
    folders_only = pattern.endswith(b"/")
    pattern = pattern[:-1] if folders_only else pattern
    name_only = b"/" not in pattern
    if not pattern:
        return None
    try:
        regex = re.compile(_translate(pattern.removeprefix(b"/")), re.DOTALL)
    except _Never:
        return None
    return _Rule(regex, ignores, folders_only, name_only)


def _without_trailing_spaces(line: bytes) -> bytes:
    """`line` up to its trailing spaces, of which an escaped one ("\\ ") is none."""
    match = re.fullmatch(rb"((?:[^\\]|\\.)*?) *", line, re.DOTALL)
    return match[1] if match else line


def _translate(pattern: bytes) -> bytes:
    """A glob of git's as a regex. _Never where it matches nothing."""
    parts = []
    at = 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        if char == b"*":
            part, at = _stars(pattern, at)
        elif char == b"?":
            part, at = b"[^/]", at + 1
        elif char == b"[":
            part, at = _bracket(pattern, at + 1)
        else:
            at += char == b"\\"
            if at == len(pattern):
                raise _Never
            part, at = re.escape(pattern[at : at + 1]), at + 1
        parts.append(part)
    return b"".join(parts)


def _stars(pattern: bytes, start: int) -> tuple[bytes, int]:
    """Stars from `start` on as a regex, and where it goes on. Two or more, alone between slashes, span folders; git
    compares the plain text that a pattern begins with on its own, so behind that, too, they count as alone."""
    end = start
    while pattern[end : end + 1] == b"*":
        end += 1
    alone = pattern[start - 1 : start] == b"/" or not re.search(rb"[*?\[\\]", pattern[:start])
    if end - start < 2 or not alone:
        return b"[^/]*", end
    if end == len(pattern):
        return b".*", end
    if pattern[end : end + 1] == b"/":
        return b"(?:.*/)?", end + 1
    return (b".*" if pattern[end : end + 2] == rb"\/" else b"[^/]*"), end


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """A bracket expression whose "[" ends at `at` as a regex, and where it goes on."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    items: list[bytes] = []
    before: bytes | None = None  # what a range could begin with
    first = True
    while first or pattern[at : at + 1] != b"]":
        first = False
        if pattern.startswith(b"[:", at) and (found := _class(pattern, at)):
            item, at = found
            items.append(item)
            before = None
        elif before is not None and pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] not in (b"", b"]"):
            last, at = _literal(pattern, at + 1)
            if before <= last:
                items.append(_hex(before) + b"-" + _hex(last))
            before = None
        else:
            before, at = _literal(pattern, at)
            items.append(_hex(before))
    body = b"".join(items)
    if negated:
        return b"[^/" + body + b"]", at + 1
    return b"(?!/)[" + body + b"]", at + 1


def _class(pattern: bytes, at: int) -> tuple[bytes, int] | None:
    """A class like [:alpha:] at `at`; None where it is none after all. _Never for an unknown name."""
    end = pattern.find(b"]", at + 2)
    if end < 0:
        raise _Never
    if pattern[end - 1 : end] != b":" or end == at + 2:
        return None
    try:
        return _CLASSES[pattern[at + 2 : end - 1]], end + 1
    except KeyError:
        raise _Never from None


def _literal(pattern: bytes, at: int) -> tuple[bytes, int]:
    """One byte of a bracket expression, perhaps escaped, and where it goes on."""
    at += pattern[at : at + 1] == b"\\"
    if at >= len(pattern):
        raise _Never
    return pattern[at : at + 1], at + 1


def _hex(byte: bytes) -> bytes:
    return b"\\x%02x" % ord(byte)
