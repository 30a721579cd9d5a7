"""A reader who sees steps."""

from __future__ import annotations

from skyrig.cli.live.board import Board
from skyrig.progress import Step, Teller


class Reader(Teller):
    """Has the `lines` that were told, and with `live` the steps that go on."""

    def __init__(self, *, live: bool = True) -> None:
        self.board = Board()
        self.lines: list[str] = []
        self.told: list[Step] = []
        self._live = live

    @property
    def live(self) -> bool:
        return self._live

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def show(self, step: Step) -> None:
        assert self._live
        self.told.append(step)
        self.board = self.board.after(step, 0.0)

    @property
    def sees(self) -> dict[str, str]:
        """Details by subject."""
        return {row.step.subject: row.step.detail for row in self.board.rows}
