"""The commands that stand in a shell text, as far as they can be read without running it.

Read generously: scripts in here-documents and in `bash -c '...'` count as if they stood in the text itself, and what
only looks like a command does no harm, since nothing is ever rewritten. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from attrs import define, field, frozen

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+|\\\n)
    |(?P<comment>\#[^\n]*)
    |(?P<operator>\n|;;|&&|\|\||\|&|<<<|<<-?|&>>?|>>|[<>]&[\d-]?|[;|&<>()])
    |(?P<word>(?:\\[\s\S]|(?<=[A-Za-z])'|'[^']*'|"(?:\\[\s\S]|[^"\\])*"|\$\{[^}\n]*\}|\$\([^()\n]*\)|`[^`\n]*`
        |[^\s;&|<>()'"\\`]|['"`\\])+)""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"""\\(?P<plain>[\s\S])|'(?P<single>[^']*)'|"(?P<double>(?:\\[\s\S]|[^"\\])*)\"""")
_ASSIGNED = re.compile(r"(?P<name>[A-Za-z_]\w*)\+?=(?P<value>[\s\S]*)")
_ARRAY = re.compile(r"(?m)^\s*(?:\w+\s+)?(?P<name>[A-Za-z_]\w*)=\((?P<value>[^()]*)\)")
_VARIABLE = re.compile(r"\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?:\[[@*]\])?\})")
_SOME_NODES = re.compile(r"rank|head|master|NODE_IPS|hostname", re.IGNORECASE)
"""In a condition: it is most probably not met on every node."""

_TESTS = {"[", "[[", "((", "test"}
_LEAVING = {"exit", "return", "sleep", "tail"}
_DEPTH = 3


@frozen
class Command:
    """One command's words without their quotes; variables that the text itself sets to several words are replaced by
    them, all others stand as they are. `some_nodes`: a condition around it seems to ask which node this is."""

    words: tuple[str, ...]
    some_nodes: bool = False


def read(text: str) -> list[Command]:
    """The commands of `text` in the order in which they stand."""
    known = _assigned(text)
    return list(_commands(text, known, _DEPTH))


def _commands(text: str, known: Mapping[str, str], depth: int) -> Iterator[Command]:
    around = _Around()
    for operator, raw in _simple(text):
        words = around.enter(operator, raw)
        if not words:
            continue
        plain = tuple(_expanded(words, known, _DEPTH))
        yield Command(plain, around.some_nodes)
        for flag, inner in pairwise(plain):
            if depth and flag.startswith("-") and flag.endswith("c") and re.search(r"\s", inner):
                yield from _commands(inner, known, depth - 1)


def _simple(text: str) -> Iterator[tuple[str, list[str]]]:
    """(operator before it, words as written) of every simple command."""
    operator, words = "\n", list[str]()
    for found in _TOKEN.finditer(text):
        if found.lastgroup == "word":
            words.append(found[0])
        elif found.lastgroup == "operator" and not found[0].startswith(("<", ">", "&>")):
            if words:
                yield operator, words
            operator, words = found[0], []
    if words:
        yield operator, words


@define
class _Around:
    """What stands around a command: the conditions of `if` and `case`, a test before `&&`, an early end of others."""

    conditions: list[str] = field(factory=list)
    asking: bool = False
    tested: str = ""
    others_left: bool = False

    @property
    def some_nodes(self) -> bool:
        """Whether only some nodes get here, as far as one can see."""
        return self.others_left or any(_SOME_NODES.search(text) for text in (*self.conditions, self.tested))

    def enter(self, operator: str, words: Sequence[str]) -> Sequence[str]:
        """Take the next command; its words without keywords, none where it is a condition."""
        if operator not in ("&&", "||"):
            self.tested = ""
        for at, word in enumerate(words):
            if word in ("if", "elif", "while", "until"):
                self.asking = True
                if word == "if":
                    self.conditions.append("")
            elif word in ("then", "do", "else", "!", "{", "}", "time"):
                self.asking = False
            elif word == "fi" or word == "esac":
                self.conditions[-1:] = []
            elif word == "case":
                self.conditions.append(" ".join(words[at + 1 :]))
                return ()
            else:
                return self._command(words[at:])
        return ()

    def _command(self, words: Sequence[str]) -> Sequence[str]:
        if self.asking and self.conditions:
            self.conditions[-1] += " ".join(words)
        elif words[0] in _TESTS:
            self.tested += " ".join(words)
        elif words[0] in _LEAVING and self.some_nodes:
            self.others_left = True
        return words


def _assigned(text: str) -> dict[str, str]:
    """Values of several words, or that begin like an option, which the text gives to variables."""
    found = {}
    for _, words in _simple(text):
        for word in words:
            match = _ASSIGNED.fullmatch(word)
            if match is not None:
                found[match["name"]] = _unquoted(match["value"])
    found |= {match["name"]: match["value"] for match in _ARRAY.finditer(text)}
    return {name: value for name, value in found.items() if value.startswith("-") or re.search(r"\s", value.strip())}


def _expanded(words: Iterable[str], known: Mapping[str, str], depth: int) -> Iterator[str]:
    for word in words:
        plain = _unquoted(word)
        variable = _VARIABLE.fullmatch(plain)
        value = known.get(variable["bare"] or variable["braced"]) if variable is not None and depth else None
        if value is None:
            yield plain
        else:
            inner = [each for _, each_words in _simple(value) for each in each_words]
            yield from _expanded(inner, known, depth - 1)


def _unquoted(word: str) -> str:
    def inside(match: re.Match[str]) -> str:
        if match["double"] is not None:
            return re.sub(r"\\([\"\\$`])", r"\1", match["double"])
        return match["single"] if match["single"] is not None else match["plain"]

    return _QUOTED.sub(inside, word)
