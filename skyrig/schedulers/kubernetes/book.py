"""The lines of a job's log as they are known here: from its pods, each with its moment, and from what was kept before.

Pods go, and their lines with them (those of the ranks that are ended when another fails, of attempts before a restart,
of jobs whose time is over). So whoever looks keeps what they saw, in the job's folder of the stack's records: `seen`,
one line `MOMENT RANK|text` each in order, and `job.log`, the same without the moments.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from skyrig.launch.lines import SETUP

Row = tuple[bytes, int, bytes]
"""Moment as Kubernetes writes it, rank, text without line feed."""

_BEGINS, _ENDED = b"[skyrig] setup begins", b"[skyrig] setup ended"


class Book:
    """What is known of one job's lines; `folder` is where they are kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: Counter[Row] = Counter()
        self._setup: dict[str, tuple[bytes, bytes]] = {}  # its first and its last moment; "~" comes after all
        self._until: dict[str, bytes] = {}

    def kept(self) -> list[Row]:
        """The lines that were kept before, in order; they are known from now on."""
        rows = list(self._read())
        self._known |= Counter(rows)
        return rows

    def since(self, pod: str) -> str:
        """The second from which on a pod's log may have lines that are not known; "" for its beginning."""
        until = self._until.get(pod, b"").decode("ascii", "replace")
        return f"{until[:19]}Z" if until else ""

    def add(self, pod: str, rank: int, log: bytes) -> list[Row]:
        """Take what a pod's log says from `since` on; the lines of it that were not known."""
        seen: Counter[Row] = Counter()
        fresh = []
        for line in log.split(b"\n"):
            moment, _, text = line.partition(b" ")
            if not moment[:4].isdigit():
                continue
            row = (moment, self._rank(pod, rank, text, moment), text)
            seen[row] += 1
            if seen[row] > self._known[row]:
                self._known[row] = seen[row]
                fresh.append(row)
            self._until[pod] = max(moment, self._until.get(pod, b""))
        return fresh

    def keep(self) -> None:
        """Write all that is known, with what others have kept meanwhile."""
        rows = sorted((Counter(self._read()) | self._known).elements())
        if rows:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write("seen", (b"%s %d|%s\n" % row for row in rows))
            self._write("job.log", (line(row) for row in rows))

    def _rank(self, pod: str, rank: int, text: bytes, moment: bytes) -> int:
        """The number that a line stands under: those of setup have their own. The same line may come twice."""
        if text == _BEGINS:
            self._setup.setdefault(pod, (moment, b"~"))
        elif text == _ENDED and pod in self._setup:
            begins, ended = self._setup[pod]
            self._setup[pod] = (begins, min(ended, moment))
        begins, ended = self._setup.get(pod, (b"~", b""))
        return SETUP + rank if begins <= moment <= ended else rank

    def _read(self) -> Iterable[Row]:
        try:
            lines = (self._folder / "seen").read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return
        for each in lines:
            moment, _, rest = each.partition(b" ")
            rank, _, text = rest.partition(b"|")
            yield moment, int(rank), text

    def _write(self, name: str, lines: Iterable[bytes]) -> None:
        fresh = self._folder / f".{name}.{os.getpid()}"
        with fresh.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / name)


def line(row: Row) -> bytes:
    """A line as logs keep it (skyrig.launch.lines)."""
    return b"%d|%s\n" % row[1:]
