"""How long answers took: read from the line that HAProxy sends for each, into a histogram.

Lines come as datagrams on a unix socket. HAProxy never waits for us: what is not read in time is dropped, and of many
only a part is read, evenly over time, so that a flood costs little here. Percentiles are of what was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections import Counter, deque
from pathlib import Path

from attrs import define, field

_SLOT_S = 5.0
_MOST_SLOTS = 128
_GROWTH = math.log(1.02)
"""Buckets of a histogram are 2% apart, so that a percentile is wrong by 1% at most."""

_TICK_S = 0.01
_EACH_TICK = 20
"""Lines that are read in each tick: 2000 a second at most; where the kernel queues no more than 10, 1000."""

_LONGEST_LINE = 4096


@define
class _Slot:
    """What was seen in a few seconds from `at` on: durations by server, as counts of buckets."""

    at: float
    seen: dict[str, Counter[int]] = field(factory=dict)


class Histogram:
    """Durations of answers by server over the last minutes, in bounded memory."""

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque(maxlen=_MOST_SLOTS)

    def add(self, server: str, seconds: float, now: float) -> None:
        """An answer of `server` was complete at `now` (seconds of some clock), `seconds` after its request began."""
        if not self._slots or now >= self._slots[-1].at + _SLOT_S:
            self._slots.append(_Slot(now))
        bucket = round(math.log(max(seconds, 1e-4)) / _GROWTH)
        self._slots[-1].seen.setdefault(server, Counter())[bucket] += 1

    def seen(self, since: float, server: str | None = None) -> Counter[int]:
        """What was seen of `server` (None: of all) from about `since` on."""
        found: Counter[int] = Counter()
        for slot in self._slots:
            if slot.at + _SLOT_S > since:
                for name, buckets in slot.seen.items():
                    if server in (None, name):
                        found.update(buckets)
        return found


def percentile(seen: Counter[int], share: float) -> float | None:
    """Seconds within which the `share` (0 to 1) of the fastest answers were complete; None where there were none."""
    left = math.ceil(share * seen.total()) if seen else 0
    for bucket in sorted(seen):
        left -= seen[bucket]
        if left <= 0:
            return math.exp(bucket * _GROWTH)
    return None


def parse(line: bytes) -> tuple[str, float] | None:
    """(server, seconds) of a line `SERVER MILLISECONDS STATUS`; None for what is none, and for a request that no server
    has answered."""
    words = line.split()
    if len(words) != 3 or not words[1].isdigit() or not words[2].isdigit() or words[0].startswith(b"<"):
        return None
    return words[0].decode(errors="replace"), int(words[1]) / 1000


class Traffic:
    """Reads the socket at `path` into `seen`."""

    def __init__(self, path: Path) -> None:
        self.seen = Histogram()
        self._path = path
        self._socket: socket.socket | None = None
        self._reading: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Read from now on, in the running event loop."""
        if self._reading is not None and not self._reading.done():
            return
        self.close()
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._reading = asyncio.create_task(self._read(self._socket))

    def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
        if self._socket is not None:
            self._socket.close()
        self._reading = self._socket = None

    async def _read(self, source: socket.socket) -> None:
        while True:
            await _readable(source)
            now = time.monotonic()
            with contextlib.suppress(BlockingIOError):
                for _ in range(_EACH_TICK):
                    found = parse(source.recv(_LONGEST_LINE))
                    if found is not None:
                        self.seen.add(*found, now)
            await asyncio.sleep(_TICK_S)  # the pace: at most so many lines in so much time


async def _readable(source: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def is_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(source, is_ready)
    try:
        await ready
    finally:
        loop.remove_reader(source)
