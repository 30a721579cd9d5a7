"""Which activities go on and since when, as a value: what a live region shows, apart from how."""

from __future__ import annotations

from attrs import evolve, frozen

from skyrig.progress import Step

_WINDOW_S = 5.0
"""The newest seconds of a transfer, from which its rate is taken."""

_STALE_S = 2.0
"""A transfer that has told nothing for so long stands still; before that, it is between two reports."""


@frozen
class Row:
    """One activity that goes on. `since` and the times of `marks` (time, bytes done by then) are on the board's clock,
    in seconds."""

    step: Step
    since: float
    marks: tuple[tuple[float, int], ...] = ()

    def after(self, step: Step, now: float) -> Row:
        """The row with a newer state of its activity."""
        before = self.marks if step.done >= self.step.done else ()  # else it is another transfer
        marks = (*before, (now, step.done)) if step.total else ()
        while len(marks) > 2 and marks[1][0] < now - _WINDOW_S:
            marks = marks[1:]
        return evolve(self, step=step, marks=marks)

    def rate(self, now: float) -> float:
        """Bytes a second lately; 0.0 where it is too early to say. A transfer that stands still gets slower."""
        if len(self.marks) < 2:
            return 0.0
        (began, before), (last, done) = self.marks[0], self.marks[-1]
        until = last if now < last + _STALE_S else now
        return (done - before) / (until - began) if until > began else 0.0

    def left_s(self, now: float) -> float | None:
        """Seconds that the rest of the transfer takes at this rate; None where nobody can tell, or nothing is left."""
        rate, left = self.rate(now), self.step.total - self.step.done
        return left / rate if rate > 0 and left > 0 else None


@frozen
class Board:
    """The activities that go on, in the order in which they began."""

    rows: tuple[Row, ...] = ()

    def after(self, step: Step, now: float) -> Board:
        """The board once `step` was told at the time `now`."""
        if step.ended:
            return Board(tuple(row for row in self.rows if row.step.name != step.name))
        if all(row.step.name != step.name for row in self.rows):
            return Board((*self.rows, Row(step, now).after(step, now)))
        return Board(tuple(row.after(step, now) if row.step.name == step.name else row for row in self.rows))

    def age(self, now: float) -> float:
        """For how many seconds the longest of them has gone on; 0.0 without any."""
        return max((now - row.since for row in self.rows), default=0.0)
