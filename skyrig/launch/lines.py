"""The lines of a job's log as they are kept, and as they are shown.

Kept: `RANK|text` for a line that ended with a line feed in the rank's own output, `RANK+text` for a piece of a line
that went on, `RANK!COUNT|reason` where COUNT bytes of the rank's output could not be kept. Shown:
`(rank K, NODE) text`, with one node the text alone; setup lines as `(setup, NODE) text`, Skyrig's own notes as
`(skyrig) text`. All is bytes: what a job prints need not be text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from skyrig.launch.job import JobRecord

SETUP = 1_000_000
"""Added to a node's rank in the cluster for the lines of its setup."""

NOTE = 2_000_000
"""The rank under which Skyrig's own notes stand."""


_KEPT = re.compile(rb"(\d+)(?:([|+])|!(\d+)\|)")


def parse(line: bytes) -> tuple[int, bytes, bool]:
    """(rank, text without line feed, whether the line ended here) of one kept line."""
    head = _KEPT.match(line)
    if head is None:
        return NOTE, line.removesuffix(b"\n"), True
    text = line[head.end() :].removesuffix(b"\n")
    if head[3]:
        return int(head[1]), b"[skyrig] %s bytes of output are missing here (%s)" % (head[3], text), True
    return int(head[1]), text, head[2] == b"|"


def gap(rank: int, count: int, reason: str) -> bytes:
    """The kept line that stands for `count` bytes of a rank's output that could not be kept."""
    return b"%d!%d|%s\n" % (rank, count, reason.replace("\n", " ").encode(errors="surrogateescape"))


def counted(line: bytes) -> tuple[int, int]:
    """(rank, bytes of the rank's own output that one kept line stands for)."""
    head = _KEPT.match(line)
    if head is None:
        return NOTE, len(line)
    if head[3]:
        return int(head[1]), int(head[3])
    return int(head[1]), len(line) - head.end() - (head[2] == b"+" and line.endswith(b"\n"))


_GAP = re.compile(rb"\d+!")
_FAILURE = re.compile(rb"\[skyrig\] a process of this rank exited with code \d+")


def marks_failure(text: bytes) -> bool:
    """Whether rank.sh wrote this line: a process of the rank failed, and what follows is its launcher's."""
    return _FAILURE.fullmatch(text) is not None


class Shown:
    """Turns kept lines into shown ones. `cluster`: ids of all nodes in rank order; `rank`: show that one alone."""

    def __init__(self, record: JobRecord, cluster: Iterable[str], *, rank: int | None = None) -> None:
        self._nodes = [node.encode() for node in record.nodes]
        self._cluster = [node.encode() for node in cluster]
        self._alone = record.num_nodes == 1
        self._rank = rank
        self._open: int | None = None

    def wants(self, rank: int) -> bool:
        """Whether lines of this rank are shown."""
        return self._rank is None or rank == self._rank

    def show(self, kept: bytes) -> bytes:
        """One kept line as it is shown; b"" if it is not wanted. A piece of a line has no line feed: what its rank says
        next goes on behind it, what another rank says begins a line of its own."""
        rank, text, ended = parse(kept)
        if not self.wants(rank):
            return b""
        goes_on = self._open == rank and not _GAP.match(kept)
        begin = b"" if goes_on else self.finish() + self._prefix(rank)
        self._open = None if ended else rank
        return begin + text + (b"\n" if ended else b"")

    def finish(self) -> bytes:
        """The line feed that is due if the last piece shown was no whole line."""
        due, self._open = self._open is not None, None
        return b"\n" if due else b""

    def _prefix(self, rank: int) -> bytes:
        if rank >= NOTE:
            return b"(skyrig) "
        if rank >= SETUP:
            return b"(setup, %s) " % _at(self._cluster, rank - SETUP)
        return b"" if self._alone else b"(rank %d, %s) " % (rank, _at(self._nodes, rank))


def tail_offset(path: Path, count: int, *, rank: int | None = None) -> int:
    """Offset in a kept log from which `count` lines (of `rank`, if given) are left."""
    if count <= 0:
        return path.stat().st_size
    starts: deque[int] = deque(maxlen=count)
    position = 0
    with path.open("rb") as file:
        for line in file:
            if rank is None or parse(line)[0] == rank:
                starts.append(position)
            position += len(line)
    return starts[0] if starts else position


def last(path: Path, rank: int, count: int) -> list[bytes]:
    """The last `count` texts of `rank`, looked for in the last MiB of a kept log."""
    return list(deque((text for number, text in _end(path) if number == rank), maxlen=count))


def _end(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 20)))
        if size > 1 << 20:
            file.readline()
        for line in file:
            yield parse(line)[:2]


def _at(names: list[bytes], position: int) -> bytes:
    return names[position] if position < len(names) else b"?"
