"""How far a long transfer is, told at most once a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import evolve, frozen

from skyrig.progress import Kind, Step, is_live, tell


@frozen
class Progress:
    """Files and bytes that were sent, out of those that are known to be wanted so far. With several receivers each
    counts for itself."""

    files: int
    of_files: int
    size: int
    of_size: int

    def __str__(self) -> str:
        """In words: "1200 of 5000 files, 4.8 of 20.0 MB"."""
        return f"{self.files} of {self.of_files} files, {self.size / 1e6:.1f} of {self.of_size / 1e6:.1f} MB"


Report = Callable[[Progress], None]
"""Takes a transfer's progress; called in the event loop, so it must return at once."""


class Meter:
    """Counts a transfer, and reports it every `every_s` seconds at most; the last state is reported by `finish`, if any
    was before: a short transfer says nothing."""

    def __init__(self, report: Report | None, *, every_s: float = 1.0) -> None:
        self._report = report
        self._every_s = every_s
        self._told_at = time.monotonic()
        self._told: Progress | None = None
        self._counts = [0, 0, 0, 0]

    def expect(self, files: int, size: int) -> None:
        """So many more files with so many bytes in all are wanted."""
        self._counts[1] += files
        self._counts[3] += size

    def add(self, files: int, size: int) -> None:
        """So much more was sent."""
        self._counts[0] += files
        self._counts[2] += size
        if self._report and time.monotonic() - self._told_at >= self._every_s:
            self._tell(self._report)

    def finish(self) -> None:
        """Report the end, where the reader has been told of the way to it."""
        if self._report and self._told and self._told != self.now:
            self._tell(self._report)

    @property
    def now(self) -> Progress:
        """The state at this moment."""
        return Progress(*self._counts)

    def _tell(self, report: Report) -> None:
        self._told_at = time.monotonic()
        self._told = self.now
        report(self._told)


def sending(receiver: str) -> Step:
    """A transfer to `receiver` as the reader sees it: an `activity` from the first look at the files to the answer."""
    return Step(Kind.SYNC, f"files to {receiver}")


def meter(notify: Callable[[str], None], receiver: str) -> Meter:
    """A meter of a transfer to `receiver` that reports to the reader: many times a second where that is seen live (and
    goes on with `sending`), else a line a second."""

    def report(now: Progress) -> None:
        tell(notify, evolve(sending(receiver), done=now.size, total=now.of_size), plain=f"  {now}")

    return Meter(report, every_s=0.1 if is_live(notify) else 1.0)
