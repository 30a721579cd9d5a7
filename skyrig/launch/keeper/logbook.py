"""One job's log on the head: the lines of all ranks in the order they came.

Each line begins with `RANK|` (it ended with a line feed in the rank's own output) or `RANK+` (a piece of a line that
went on, or had no end); `RANK!COUNT|` marks bytes that the head's disk did not take. So the number of bytes that were
taken from each rank can be counted from the file alone, and a restarted keeper asks each supervisor for what follows.
Followers read the file at their own pace; nothing here waits for them, nor for a disk that is full.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from skyrig.launch.lines import NOTE, counted, gap

PIECE = 64 * 1024
"""Longest piece of a line in bytes: a rank that prints no line feed is cut into such pieces."""

_RETRY_S = 0.5
"""Seconds between two tries to write to a disk that took nothing."""

_ROOM = 256 * 1024
"""Bytes that must be free on a disk that was full before lines are written to it again."""

_COUNT_EVERY = 4 << 20
"""Bytes of log after which the counts so far are put beside it, so that a restart need not read it all again."""


def taken(path: Path) -> dict[int, int]:
    """Bytes of each rank's own output that the whole lines of the log file at `path` stand for."""
    return _Counts.read(path).ranks


class _Counts:
    """Bytes of each rank up to `size`, a position in the log; kept now and then in a small file beside it."""

    def __init__(self, log: Path, size: int, ranks: dict[int, int]) -> None:
        self.size = size
        self.ranks = ranks
        self._file = log.with_suffix(".counts")

    @classmethod
    def read(cls, log: Path) -> _Counts:
        """Those of the whole log but for a last line that is only half there."""
        counts = cls(log, 0, {})
        try:
            length = log.stat().st_size
        except FileNotFoundError:
            return counts
        try:
            kept = json.loads(counts._file.read_bytes())
            if kept["size"] <= length:
                counts.size, counts.ranks = kept["size"], {int(rank): count for rank, count in kept["ranks"].items()}
        except (OSError, ValueError, KeyError):
            pass  # none yet, or half written: the log itself is what counts
        with log.open("rb") as file:
            file.seek(counts.size)
            for line in file:
                if line.endswith(b"\n"):
                    rank, count = counted(line)
                    counts.ranks[rank] = counts.ranks.get(rank, 0) + count
                    counts.size += len(line)
        return counts

    def drop(self) -> None:
        """Remove what was kept."""
        self._file.unlink(missing_ok=True)

    def keep(self, size: int, ranks: dict[int, int]) -> None:
        """Note what `taken` would count; a disk that does not take it costs a later restart time, no more."""
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"size": size, "ranks": ranks}))
            fresh.replace(self._file)
        except OSError:
            return
        self.size = size


class Logbook:
    """Writer of one job's log file. `offsets` are the bytes taken from each rank so far, kept or marked as missing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.closed = False
        self._counts = _Counts.read(path)
        self.size = self._counts.size
        self.offsets = dict(self._counts.ranks)
        self._file = path.open("ab", buffering=0)
        self._file.truncate(self.size)  # a keeper that was killed while it wrote may have left half a line
        self._partial: dict[int, bytes] = {}
        self._silent: set[int] = set()
        self._missing: dict[int, int] = {}
        self._reason = ""
        self._retry_at = 0.0
        self._torn = False
        self._changed = asyncio.Event()
        self._reserve = path.with_suffix(".room")
        with suppress(OSError):
            self._reserve.write_bytes(bytes(4096))

    def add(self, rank: int, data: bytes) -> None:
        """Take bytes of a rank's output; whole lines go to the file, the rest waits for its end."""
        self.offsets[rank] = self.offsets.get(rank, 0) + len(data)
        self._silent.discard(rank)
        text = self._partial.pop(rank, b"") + data
        if self._mended():
            self._append(b"".join(self._cut(rank, text)))
        else:
            self._lose(rank, len(text))

    def skip(self, rank: int, count: int, reason: str) -> None:
        """Mark bytes of a rank's output that never came and never will."""
        self.offsets[rank] = self.offsets.get(rank, 0) + count
        if self._mended():
            self._append(gap(rank, count, reason))
        else:
            self._lose(rank, count)

    def note(self, text: str) -> None:
        """Add a line of Skyrig's own."""
        line = b"%d|%s\n" % (NOTE, text.replace("\n", " ").encode(errors="surrogateescape"))
        if self._mended():
            self._append(line)
        else:
            self._lose(*counted(line))

    def flush(self, rank: int) -> None:
        """Write what a rank left without line feed: it will say no more."""
        rest = self._partial.pop(rank, b"")
        if not rest:
            return
        if self._mended():
            self._append(b"%d+%s\n" % (rank, rest))
        else:
            self._lose(rank, len(rest))

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
        self._mended()

    def close(self) -> None:
        """The job ended: no more lines. A disk that is full to the last still takes the mark of what is missing: room
        for it was held back."""
        self.flush_all()
        self.closed = True
        self._reserve.unlink(missing_ok=True)
        self._mended(closing=True)
        self._file.close()
        self._counts.drop()

    def pulse(self) -> asyncio.Event:
        """An event that is set by whatever changes after this call: new lines, a new status, the log's end."""
        return self._changed

    def wake(self) -> None:
        """Tell followers that something changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _cut(self, rank: int, data: bytes) -> Iterator[bytes]:
        *lines, rest = data.split(b"\n")
        whole, piece = b"%d|" % rank, b"%d+" % rank
        for line in lines:
            if len(line) > PIECE:
                *pieces, line = [line[i : i + PIECE] for i in range(0, len(line), PIECE)]
                yield from (piece + part + b"\n" for part in pieces)
            yield whole + line + b"\n"
        while len(rest) > PIECE:
            yield piece + rest[:PIECE] + b"\n"
            rest = rest[PIECE:]
        if rest:
            self._partial[rank] = rest

    def _mended(self, *, closing: bool = False) -> bool:
        """Whether the disk takes lines, once what it did not take is marked. One mark is to do for the whole of a full
        disk, so there must be room for more than it, unless the log is `closing`."""
        if self._missing and (closing or (time.monotonic() >= self._retry_at and self._roomy())):
            marks = b"".join(gap(rank, count, self._reason) for rank, count in self._missing.items())
            begin = self.size
            if self._put(marks) == len(marks):
                self._missing.clear()
                self.wake()
            else:
                self._cut_back(begin)
        return not self._missing

    def _roomy(self) -> bool:
        """Whether the disk has some room; where it does not, the next look is a little later."""
        disk = os.fstatvfs(self._file.fileno())
        self._retry_at = time.monotonic() + _RETRY_S
        return disk.f_bavail * disk.f_frsize >= _ROOM or disk.f_blocks == 0

    def _append(self, data: bytes) -> None:
        """Write kept lines; those that the disk does not take count as missing."""
        begin = self.size
        done = self._put(data)
        if done < len(data):
            whole = data.rfind(b"\n", 0, done) + 1
            self._cut_back(begin + whole)
            for line in data[whole:].split(b"\n")[:-1]:
                self._lose(*counted(line + b"\n"))
        elif self.size - self._counts.size >= _COUNT_EVERY:
            waiting = {rank: len(rest) for rank, rest in self._partial.items()}
            self._counts.keep(self.size, {rank: n - waiting.get(rank, 0) for rank, n in self.offsets.items()})
        if data:
            self.wake()

    def _put(self, data: bytes) -> int:
        """Write as much as the disk takes; returns how many bytes that were."""
        done = 0
        try:
            if self._torn:
                self._file.truncate(self.size)
                self._torn = False
            while done < len(data):
                done += self._file.write(data[done:]) or 0
        except OSError as problem:
            self._reason = os.strerror(problem.errno or 0)
            self._retry_at = time.monotonic() + _RETRY_S
        self.size += done
        return done

    def _cut_back(self, size: int) -> None:
        """Make the file end behind its last whole line, at `size`; before the next write, if not now."""
        self.size, self._torn = size, True
        self._put(b"")

    def _lose(self, rank: int, count: int) -> None:
        self._missing[rank] = self._missing.get(rank, 0) + count
