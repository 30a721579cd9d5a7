"""What the page shows of one service: its newest snapshot, and the last half hour as points of its plots. Pure but for
the deque that it keeps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

from attrs import define, field, frozen

from skyrig.serve.spec import CONVERTER
from skyrig.serve.state import ReplicaStatus, Snapshot

KEEP_S = 1800.0
"""How far back the plots reach."""

_MOST = 1800
"""Points that are kept at most: no two are of the same second."""


@frozen
class Point:
    """One moment of the plots. `slot` is the second that it is of, seconds since the epoch by this machine's clock, and
    `serial` grows with every point that came; None where nothing is known."""

    slot: int
    serial: int
    qps: float
    in_flight: int
    p50_s: float | None
    p99_s: float | None
    tokens_per_s: float | None
    ready: int
    wanted: int

    def to_json(self) -> list[float | int | None]:
        """The point as the page reads it: its fields but the serial, in this order."""
        times = (self.p50_s, self.p99_s, self.tokens_per_s)
        return [self.slot, self.qps, self.in_flight, *times, self.ready, self.wanted]


def point(snapshot: Snapshot, now: float, serial: int) -> Point:
    """What the plots need of a snapshot that came at `now`."""
    load = snapshot.load
    ready = sum(replica.status is ReplicaStatus.READY for replica in snapshot.replicas)
    return Point(
        slot=int(now),
        serial=serial,
        qps=load.qps,
        in_flight=load.in_flight,
        p50_s=load.p50_s,
        p99_s=load.p99_s,
        tokens_per_s=load.tokens_per_s,
        ready=ready,
        wanted=snapshot.wanted.replicas,
    )


@define
class History:
    """One service as it was seen. `trouble` says in one line why nothing comes at the moment, since `silent_since`
    (seconds since the epoch, 0.0 where all is well)."""

    name: str
    endpoint: str = ""
    snapshot: Snapshot | None = None
    came_at: float = 0.0
    trouble: str = ""
    silent_since: float = 0.0
    serial: int = 0
    points: deque[Point] = field(factory=lambda: deque(maxlen=_MOST))

    def take(self, snapshot: Snapshot, now: float) -> None:
        """Keep a snapshot that came at `now`. Of two within one second the later one stays."""
        self.serial += 1
        self.snapshot, self.came_at = snapshot, now
        self.trouble, self.silent_since = "", 0.0
        fresh = point(snapshot, now, self.serial)
        if self.points and self.points[-1].slot >= fresh.slot:
            self.points.pop()
        self.points.append(fresh)
        while self.points[0].slot < now - KEEP_S:
            self.points.popleft()

    def lose(self, reason: str, now: float) -> None:
        """Note that nothing comes any more, and why."""
        self.trouble = reason
        self.silent_since = self.silent_since or self.came_at or now

    def since(self, serial: int) -> Sequence[Point]:
        """The points that came after the one called `serial`."""
        return [each for each in self.points if each.serial > serial]

    def to_json(self, after: int, away: str) -> dict[str, Any]:
        """The service as the page reads it: its snapshot, and the points after `after`. `away` says why it does not
        scale at the moment."""
        whole = {
            "name": self.name,
            "endpoint": self.endpoint,
            "snapshot": CONVERTER.unstructure(self.snapshot) if self.snapshot else None,
            "came_at": self.came_at,
            "trouble": self.trouble,
            "silent_since": self.silent_since,
            "away": away,
            "serial": self.serial,
            "points": [each.to_json() for each in self.since(after)],
        }
        return cast("dict[str, Any]", plain(whole))


def plain(value: Any) -> Any:
    """The same data with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
