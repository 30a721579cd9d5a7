"""What is wrong with a task file, and what was mended, collected so that all of it is told at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from attrs import field, frozen

from skyrig.errors import BadInput


@frozen
class Position:
    """A place in a file; line and column count from 1. Line 0: the whole of what `file` names, which has no lines (a
    call in a Python program)."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@frozen
class Problems:
    """What was found so far: `wrong` makes the file unusable, `missing` names local files that are not there (which
    only matters where they are to be sent), `mends` are repairs with one clear meaning, `warnings` are the rest that
    the reader should know."""

    wrong: list[tuple[Position, str]] = field(factory=list)
    missing: list[tuple[Position, str]] = field(factory=list)
    mends: list[tuple[Position, str]] = field(factory=list)
    warnings: list[tuple[Position, str]] = field(factory=list)

    def add(self, where: Position, what: str, why: str) -> None:
        """Note that `what` (a field's path) at `where` is wrong because of `why`."""
        self.wrong.append((where, f"{what}: {why}" if what else why))

    def absent(self, where: Position, what: str, why: str) -> None:
        """Note that a local file or folder that `what` names is not there."""
        self.missing.append((where, f"{what}: {why}"))

    def mend(self, where: Position, what: str, how: str) -> None:
        """Note a repair, `how` it is taken now."""
        self.mends.append((where, f"{what}: {how}"))

    def warn(self, where: Position, what: str, why: str) -> None:
        """Note something that is accepted and should be known."""
        self.warnings.append((where, f"{what}: {why}"))

    def unknown(self, where: Position, what: str, allowed: Collection[str]) -> None:
        """Note a field that is not known, with the nearest right one."""
        self.add(where, what, "unknown field" + did_you_mean(what.rpartition(".")[2], allowed))

    def raise_if_any(self) -> None:
        """BadInput with every line that is wrong, in the order of the file."""
        if self.wrong:
            raise BadInput("\n".join(lines(self.wrong)))


def lines(found: Collection[tuple[Position, str]]) -> list[str]:
    """`FILE:LINE:COLUMN: what` of each, in the order of the file."""
    in_order = sorted(found, key=lambda each: (each[0].line, each[0].column))
    return list(dict.fromkeys(f"{where}: {text}" for where, text in in_order))


def did_you_mean(word: str, allowed: Collection[str]) -> str:
    """ "; did you mean X?" where something in `allowed` is near to `word`, whatever its case; else ""."""
    by_folded = {each.casefold(): each for each in allowed}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""
