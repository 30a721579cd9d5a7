"""What Skyrig is busy with, as values: for a reader who watches it live, beside the lines that every reader gets.

Who works calls `notify` with lines as ever, and `tell` with steps. A `notify` that is a plain function gets the lines
alone, and so does a screen that is no terminal: nobody else need know of steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum

from attrs import evolve, frozen


class Kind(str, Enum):
    """What a step is about: a run of the engine, one resource of it, files on their way, setup on a node, or waiting
    for something that others do."""

    ENGINE = "engine"
    RESOURCE = "resource"
    SYNC = "sync"
    SETUP = "setup"
    WAIT = "wait"


@frozen
class Step:
    """One activity as it is at one moment. `kind` and `subject` name it, a later step of the same name takes its place,
    and one that has `ended` takes it away. `done` and `total` are bytes, where it is about bytes."""

    kind: Kind
    subject: str
    detail: str = ""
    done: int = 0
    total: int = 0
    ended: bool = False

    @property
    def name(self) -> tuple[Kind, str]:
        """What two states of one activity have in common."""
        return self.kind, self.subject


class Teller(ABC):
    """A `notify` that can show steps too."""

    @property
    @abstractmethod
    def live(self) -> bool:
        """Whether its reader sees steps; else lines are all there is."""

    @abstractmethod
    def __call__(self, line: str) -> None:
        """Take one line for the reader."""

    @abstractmethod
    def show(self, step: Step) -> None:
        """Take a step; called from any thread, so it must return at once."""

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Take a table, as lines of columns where nothing better can be done."""
        for line in columns(heads, rows):
            self(line)


def is_live(notify: Callable[[str], None]) -> bool:
    """Whether steps that are told to `notify` are seen."""
    return isinstance(notify, Teller) and notify.live


def tell(notify: Callable[[str], None], step: Step, *, plain: str | None = None) -> None:
    """Show `step` where it is seen; else print the line `plain`, if there is one."""
    if isinstance(notify, Teller) and notify.live:
        notify.show(step)
    elif plain is not None:
        notify(plain)


def tell_table(notify: Callable[[str], None], heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Show a table, drawn where that is possible, else as lines."""
    if isinstance(notify, Teller):
        notify.table(heads, rows)
        return
    for line in columns(heads, rows):
        notify(line)


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as lines of columns, its heads first."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


@contextmanager
def activity(notify: Callable[[str], None], step: Step) -> Iterator[None]:
    """Show `step` as long as the block takes."""
    tell(notify, step)
    try:
        yield
    finally:
        tell(notify, evolve(step, ended=True))
