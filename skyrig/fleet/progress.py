"""How far a long transfer is, told at most once a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import field, frozen


@frozen
class Progress:
    """Files and bytes that were sent, out of those that are known to be wanted so far. With several receivers each
    counts for itself. `seconds` since the transfer began do not count when two are compared."""

    files: int
    of_files: int
    size: int
    of_size: int
    seconds: float = field(default=0.0, eq=False)

    @property
    def rate(self) -> float:
        """Bytes a second, from the beginning on; 0 before anything was sent."""
        return self.size / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """In words: "1200 of 5000 files, 4.8 of 20.0 MB"."""
        return f"{self.files} of {self.of_files} files, {self.size / 1e6:.1f} of {self.of_size / 1e6:.1f} MB"


Report = Callable[[Progress], None]
"""Takes a transfer's progress; called in the event loop, so it must return at once."""


def summed(report: Report) -> Callable[[], Report]:
    """Makes a report for each of several transfers at one time; `report` hears of them as of one."""
    parts: list[Progress] = []

    def part() -> Report:
        number = len(parts)
        parts.append(Progress(0, 0, 0, 0))

        def told(progress: Progress) -> None:
            parts[number] = progress
            report(
                Progress(
                    sum(each.files for each in parts),
                    sum(each.of_files for each in parts),
                    sum(each.size for each in parts),
                    sum(each.of_size for each in parts),
                    max(each.seconds for each in parts),
                )
            )

        return told

    return part


class Meter:
    """Counts a transfer, and reports it every `every_s` seconds at most; the last state is reported by `finish`, if any
    was before: a short transfer says nothing."""

    def __init__(self, report: Report | None, *, every_s: float = 1.0) -> None:
        self._report = report
        self._every_s = every_s
        self._began_at = self._told_at = time.monotonic()
        self._told: Progress | None = None
        self._counts = (0, 0, 0, 0)

    def expect(self, files: int, size: int) -> None:
        """So many more files with so many bytes in all are wanted."""
        sent, of_files, sent_size, of_size = self._counts
        self._counts = (sent, of_files + files, sent_size, of_size + size)

    def add(self, files: int, size: int) -> None:
        """So much more was sent."""
        sent, of_files, sent_size, of_size = self._counts
        self._counts = (sent + files, of_files, sent_size + size, of_size)
        if self._report and time.monotonic() - self._told_at >= self._every_s:
            self._tell(self._report)

    def finish(self) -> None:
        """Report the end, where the reader has been told of the way to it."""
        if self._report and self._told and self._told != self.now:
            self._tell(self._report)

    @property
    def now(self) -> Progress:
        """The state at this moment."""
        return Progress(*self._counts, time.monotonic() - self._began_at)

    def _tell(self, report: Report) -> None:
        self._told_at = time.monotonic()
        self._told = self.now
        report(self._told)
