"""Errors of a task file, collected so that all are shown at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from attrs import field, frozen

from skyrig.errors import BadInput


@frozen
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@frozen
class Problems:
    """What is wrong so far, one line each."""

    found: list[tuple[Position, str]] = field(factory=list)

    def add(self, where: Position, what: str, why: str) -> None:
        """Note that `what` (a field's path) at `where` is wrong because of `why`."""
        self.found.append((where, f"{what}: {why}"))

    def unknown(self, where: Position, what: str, allowed: Collection[str], later: Collection[str] = ()) -> None:
        """Note a field that is not known, with the nearest right one; or one that Skyrig cannot do yet (`later`)."""
        name = what.rpartition(".")[2]
        if name in later:
            self.add(where, what, "not supported yet")
            return
        near = difflib.get_close_matches(name, [*allowed, *later], n=1, cutoff=0.6)
        self.add(where, what, f"unknown field; did you mean {near[0]}?" if near else "unknown field")

    def raise_if_any(self) -> None:
        """BadInput with every line, in the order of the file."""
        if self.found:
            in_order = sorted(self.found, key=lambda each: (each[0].line, each[0].column))
            raise BadInput("\n".join(f"{where}: {text}" for where, text in in_order))
