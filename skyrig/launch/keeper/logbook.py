"""One job's log on the head, and the copy of log and record that outlives the cluster.

The file holds the lines of all ranks in the order they came. Each line begins with `RANK|` (it ended with a line feed
in the rank's own output) or `RANK+` (a piece of a line that went on, or had no end). So the number of bytes that were
taken from each rank can be counted from the file alone, and a restarted keeper asks each supervisor for what follows.
Followers read the file at their own pace; nothing here waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from skyrig.launch import records
from skyrig.launch.job import JobRecord
from skyrig.launch.lines import NOTE, parse

PIECE = 64 * 1024
"""Longest piece of a line in bytes: a rank that prints no line feed is cut into such pieces."""


def taken(path: Path) -> dict[int, int]:
    """Bytes of each rank's own output that are already in the log file at `path`."""
    counts: dict[int, int] = {}
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                rank, text, ended = parse(line)
                counts[rank] = counts.get(rank, 0) + len(text) + ended
    return counts


class Logbook:
    """Writer and readers of one job's log file; `records` is the folder of the job's copy, or None."""

    def __init__(self, path: Path, records: Path | None) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.offsets = taken(path)
        self._records = records
        self._file = path.open("ab", buffering=0)
        self._partial: dict[int, bytes] = {}
        self._silent: set[int] = set()
        self._changed = asyncio.Event()
        self.closed = False

    def add(self, rank: int, data: bytes) -> None:
        """Take bytes of a rank's output; whole lines go to the file, the rest waits for its end."""
        self.offsets[rank] = self.offsets.get(rank, 0) + len(data)
        self._silent.discard(rank)
        self._append(b"".join(self._cut(rank, self._partial.pop(rank, b"") + data)))

    def note(self, text: str) -> None:
        """Add a line of Skyrig's own."""
        self._append(b"%d|%s\n" % (NOTE, text.replace("\n", " ").encode(errors="surrogateescape")))

    def flush(self, rank: int) -> None:
        """Write what a rank left without line feed: it will say no more."""
        rest = self._partial.pop(rank, b"")
        if rest:
            self._append(b"%d+%s\n" % (rank, rest))

    def flush_all(self) -> None:
        """The same for every rank."""
        for rank in list(self._partial):
            self.flush(rank)

    def flush_silent(self) -> None:
        """Write what a rank left without line feed and has not gone on with since the last call: a prompt, a progress
        bar. What came since then may be half of a line: unbuffered Python writes `print("a", "b")` in four pieces."""
        for rank in self._silent & set(self._partial):
            self.flush(rank)
        self._silent = set(self._partial)

    def close(self) -> None:
        """The job ended: no more lines; followers read to the end and stop."""
        self.flush_all()
        self.closed = True
        self._file.close()
        self.wake()

    def pulse(self) -> asyncio.Event:
        """An event that is set by whatever changes after this call: new lines, a new status, the log's end."""
        return self._changed

    def wake(self) -> None:
        """Tell followers that something changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def copy(self, record: JobRecord) -> None:
        """Bring the copy in the records folder up to date: what the log has more, and the record."""
        if self._records is None:
            return
        self._records.mkdir(mode=0o700, parents=True, exist_ok=True)
        copied = self._records / "job.log"
        with self.path.open("rb") as source, copied.open("ab") as target:
            source.seek(target.tell())
            while block := source.read(1 << 20):
                target.write(block)
        records.write(self._records, record)

    def _cut(self, rank: int, data: bytes) -> Iterator[bytes]:
        *lines, rest = data.split(b"\n")
        for line in lines:
            *pieces, last = [line[i : i + PIECE] for i in range(0, len(line), PIECE)] or [b""]
            yield from (b"%d+%s\n" % (rank, piece) for piece in pieces)
            yield b"%d|%s\n" % (rank, last)
        while len(rest) > PIECE:
            yield b"%d+%s\n" % (rank, rest[:PIECE])
            rest = rest[PIECE:]
        if rest:
            self._partial[rank] = rest

    def _append(self, data: bytes) -> None:
        if not data:
            return
        try:
            self._file.write(data)
        except OSError:  # a full disk on the head must not end the job; the rank's own log has the lines still
            return
        self.wake()
