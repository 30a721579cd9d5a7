"""A value of a task file together with its place in it, and the checks that every field needs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import evolve, frozen

from skyrig.task.problems import Position, Problems, did_you_mean

Read = TypeVar("Read")
Other = TypeVar("Other")


class Wrong(Exception):
    """A value that cannot be taken; caught where the field is read, and noted with its place."""

    def __init__(self, node: Node, why: str) -> None:
        super().__init__(why)
        self.node = node
        self.why = why


@frozen
class Node:
    """One value. `data` is a plain scalar, a list of nodes, or a dict of nodes by key; `where` is its place, for the
    value of a field that of the field's name; `path` is how errors call it (`resources.any_of[1].cpus`)."""

    data: Any
    where: Position
    path: str
    problems: Problems

    def wrong(self, why: str) -> Wrong:
        """The error that this value is wrong, to be raised."""
        return Wrong(self, why)

    def note(self, why: str) -> None:
        """Note that this value is wrong, and go on."""
        self.problems.add(self.where, self.path, why)

    @property
    def is_null(self) -> bool:
        """Whether nothing stands there."""
        return self.data is None

    def text(self) -> str:
        """A text."""
        if not isinstance(self.data, str):
            raise self.wrong(f"a text is wanted, not {self.shown}")
        return self.data

    def filled_text(self) -> str:
        """A text that is not empty."""
        if not self.text().strip():
            raise self.wrong("is empty")
        return self.text()

    def whole(self, least: int | None = None, most: int | None = None) -> int:
        """A whole number within bounds."""
        if not isinstance(self.data, int) or isinstance(self.data, bool):
            raise self.wrong(f"a whole number is wanted, not {self.shown}")
        if (least is not None and self.data < least) or (most is not None and self.data > most):
            bounds = f"at least {least}" if most is None else f"{least} to {most}"
            raise self.wrong(f"{self.data} is out of range: {bounds} is wanted")
        return self.data

    def number(self, least: float | None = None) -> int | float:
        """A number, not below `least`."""
        if not isinstance(self.data, int | float) or isinstance(self.data, bool) or not math.isfinite(self.data):
            raise self.wrong(f"a number is wanted, not {self.shown}")
        if least is not None and self.data < least:
            raise self.wrong(f"{self.data} is out of range: at least {least} is wanted")
        return self.data

    def switch(self) -> bool:
        """True or false."""
        if not isinstance(self.data, bool):
            raise self.wrong(f"true or false is wanted, not {self.shown}")
        return self.data

    def one_of(self, allowed: Sequence[str]) -> str:
        """One of some words, in whatever case; as it stands in `allowed`."""
        text = self.text()
        folded = {each.casefold(): each for each in allowed}
        if text.casefold() not in folded:
            raise self.wrong(f"{text!r} is none of {', '.join(allowed)}{did_you_mean(text, allowed)}")
        return folded[text.casefold()]

    def matching(self, pattern: str, what: str) -> str:
        """A text of a certain form; `what` says which."""
        if not re.fullmatch(pattern, self.text()):
            raise self.wrong(f"{self.data!r}: {what} is wanted")
        return self.text()

    def items(self) -> list[Node]:
        """The nodes of a list."""
        if not isinstance(self.data, list):
            raise self.wrong(f"a list is wanted, not {self.shown}")
        return self.data

    def fields(self) -> dict[str, Node]:
        """The nodes of a mapping by key. Keys that are no texts are noted as wrong."""
        if not isinstance(self.data, dict):
            raise self.wrong(f"a mapping is wanted, not {self.shown}")
        for key, node in self.data.items():
            if not isinstance(key, str):
                node.note("the name of a field is a text; put it in quotes")
        return {key: node for key, node in self.data.items() if isinstance(key, str)}

    def read(self, how: Callable[[Node], Read], otherwise: Other) -> Read | Other:
        """`how` applied to this node; what is wrong is noted and `otherwise` returned."""
        try:
            return how(self)
        except Wrong as error:
            error.node.note(error.why)
            return otherwise

    def read_fields(
        self, table: Mapping[str, Callable[[Node], Any]], *, null_is_absent: bool = False, open_ended: bool = False
    ) -> dict[str, Any]:
        """The fields that `table` knows, each read by its function; all that is wrong is noted. Unknown fields are
        wrong, or kept as they are where the mapping is `open_ended`."""
        values: dict[str, Any] = {}
        for key, node in self.fields().items():
            if node.is_null and null_is_absent and (key in table or open_ended):
                continue
            if key in table:
                read = node.read(table[key], _NOTHING)
                if read is not _NOTHING:
                    values[key] = read
            elif open_ended:
                values[key] = node.plain()
            else:
                self.problems.unknown(node.where, node.path, [each for each in table if not each.startswith("_")])
        return values

    def plain(self) -> Any:
        """The value without its places; what is neither number, text, truth value nor nothing becomes a text."""
        if isinstance(self.data, dict):
            return {key: node.plain() for key, node in self.data.items()}
        if isinstance(self.data, list):
            return [node.plain() for node in self.data]
        if self.data is None or isinstance(self.data, str | int | bool):
            return self.data
        if isinstance(self.data, float) and math.isfinite(self.data):
            return self.data
        return str(self.data)

    def with_texts(self, change: Callable[[str], str]) -> Node:
        """A copy in which every text, keys too, went through `change`."""
        if isinstance(self.data, str):
            return evolve(self, data=change(self.data))
        if isinstance(self.data, list):
            return evolve(self, data=[node.with_texts(change) for node in self.data])
        if isinstance(self.data, dict):
            changed = {
                change(key) if isinstance(key, str) else key: node.with_texts(change) for key, node in self.data.items()
            }
            return evolve(self, data=changed)
        return self

    @property
    def shown(self) -> str:
        """The value as errors show it: in short."""
        if isinstance(self.data, dict | list):
            return "a mapping" if isinstance(self.data, dict) else "a list"
        if self.data is None:
            return "nothing"
        if isinstance(self.data, bool):
            return "true" if self.data else "false"
        text = repr(self.data) if isinstance(self.data, str) else str(self.data)
        return text if len(text) <= 60 else text[:57] + "..."


def either(*ways: Callable[[Node], Read]) -> Callable[[Node], Read]:
    """A function that reads a node in the first of `ways` that takes it; the last one's error is told."""

    def read(node: Node) -> Read:
        for way in ways[:-1]:
            try:
                return way(node)
            except Wrong as error:
                if error.node is not node:
                    raise
        return ways[-1](node)

    return read


def text_or_number(node: Node) -> str:
    """A text, or a number as a text."""
    return node.data if isinstance(node.data, str) else str(node.number())


def texts_by_name(node: Node) -> dict[str, str]:
    """A mapping of texts."""
    return {key: each.text() for key, each in node.fields().items()}


def internal(node: Node) -> None:
    """A reader for a field that SkyPilot writes for itself: it is taken, and does nothing."""
    node.problems.warn(node.where, node.path, "is internal to SkyPilot and does nothing")


def one_word(allowed: Sequence[str]) -> Callable[[Node], str]:
    """A reader for one of `allowed`, in whatever case."""
    return lambda node: node.one_of(allowed)


def at_least(least: int) -> Callable[[Node], int]:
    """A reader for a whole number that is not below `least`."""
    return lambda node: node.whole(least)


_NOTHING: Any = object()
