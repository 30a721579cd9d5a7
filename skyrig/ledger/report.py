"""What `cost` shows, worked out of the intervals of some stacks. A pure function of them and of a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from attrs import frozen

from skyrig.cluster.clouds import registered
from skyrig.ledger import intervals as parts
from skyrig.ledger.intervals import HOUR_S, Interval, Sum

MONTH_H = 730.0
"""Hours of a month."""


@frozen
class StackCost:
    """What one stack has cost in the time that was asked for. `power` is what it is in now, `hourly` what that costs
    (USD, None: not known), `since` when that began (0: it is down)."""

    name: str
    cloud: str
    region: str
    what: str
    spent: Sum
    power: str
    hourly: float | None
    since: float
    nodes: int
    accelerators: str
    began: float
    spans: tuple[tuple[float, float | None], ...]

    def to_json(self) -> dict[str, Any]:
        """The object of `cost --json`."""
        return {
            "name": self.name,
            "cloud": self.cloud,
            "region": self.region,
            "what": self.what,
            "power": self.power,
            **_json(self.spent),
        }


@frozen
class Running:
    """A stack that costs money right now: USD an hour (None: not known), since when (seconds since the epoch), what
    it came to so far, what it will have come to at the end of the day, and what a month of it would cost."""

    name: str
    what: str
    power: str
    hourly: float | None
    since: float
    so_far: Sum
    at_midnight: float
    a_month: float

    def to_json(self) -> dict[str, Any]:
        """The object of `cost --json`."""
        return {
            "name": self.name,
            "what": self.what,
            "power": self.power,
            "hourly": self.hourly,
            "since": self.since,
            "so_far": round(self.so_far.usd, 4),
            "at_midnight": round(self.at_midnight, 4),
            "a_month": round(self.a_month, 2),
        }


@frozen
class Report:
    """All of it, between the moments `since` and `until`; `month` is what the calendar month has cost so far."""

    since: float
    until: float
    stacks: tuple[StackCost, ...]
    days: Mapping[date, Sum]
    clouds: Mapping[str, Sum]
    running: tuple[Running, ...]
    total: Sum
    month: Sum

    @property
    def hourly(self) -> Sum:
        """What all that runs costs an hour."""
        known = sum(each.hourly or 0.0 for each in self.running)
        return Sum(known, HOUR_S, at_least=any(each.hourly is None for each in self.running))

    def to_json(self) -> dict[str, Any]:
        """The document of `cost --json`."""
        return {
            "since": self.since,
            "until": self.until,
            "total": _json(self.total),
            "month": _json(self.month),
            "hourly": round(self.hourly.usd, 6),
            "running": [each.to_json() for each in self.running],
            "stacks": [each.to_json() for each in self.stacks],
            "days": [{"day": str(day), **_json(spent)} for day, spent in self.days.items()],
            "clouds": [{"cloud": cloud, **_json(spent)} for cloud, spent in self.clouds.items()],
        }


def report(
    found: Mapping[str, Sequence[Interval]], days: int, now: float, zone: tzinfo | None = None, *, free: bool = False
) -> Report:
    """What stacks with these intervals have cost in the last `days` days of `zone` (None: this machine's), today among
    them. What is not rented costs nothing, and is left out unless `free`."""
    shown = {
        name: [each for each in all_of if free or registered(each.cloud).is_rented] for name, all_of in found.items()
    }
    today = datetime.fromtimestamp(now, zone).date()
    since = parts.midnight(today - timedelta(days=days - 1), zone)
    asked = {name: inside for name, all_of in shown.items() if (inside := parts.within(all_of, since, now))}
    flat = [each for inside in asked.values() for each in inside]
    everything = [each for all_of in shown.values() for each in all_of]
    on = {name: each for name, all_of in shown.items() if (each := parts.running(all_of)) is not None}
    return Report(
        since=since,
        until=now,
        stacks=tuple(_stack(name, inside, shown[name], now) for name, inside in sorted(asked.items())),
        days=parts.by_day(flat, now, zone),
        clouds=parts.by(lambda each: each.cloud, flat, now),
        running=tuple(_running(name, each, today, now, zone) for name, each in sorted(on.items())),
        total=parts.total(flat, now),
        month=parts.total(parts.within(everything, parts.midnight(today.replace(day=1), zone), now), now),
    )


def _stack(name: str, inside: Sequence[Interval], all_of: Sequence[Interval], now: float) -> StackCost:
    last, on = all_of[-1], parts.running(all_of)
    return StackCost(
        name=name,
        cloud=last.cloud,
        region=last.of.region,
        what=last.what,
        spent=parts.total(inside, now),
        power=on.power if on is not None else "down",
        hourly=on.hourly if on is not None else 0.0,
        since=on.start if on is not None else 0.0,
        nodes=last.of.nodes,
        accelerators=last.of.accelerators,
        began=all_of[0].start,
        spans=tuple((each.start, each.end) for each in all_of),
    )


def _running(name: str, on: Interval, today: date, now: float, zone: tzinfo | None) -> Running:
    so_far, hourly = parts.total([on], now), on.hourly or 0.0
    left_h = (parts.midnight(today + timedelta(days=1), zone) - now) / HOUR_S
    return Running(name, on.what, on.power, on.hourly, on.start, so_far, so_far.usd + left_h * hourly, MONTH_H * hourly)


def _json(spent: Sum) -> dict[str, Any]:
    return {
        "usd": round(spent.usd, 4),
        "hours": round(spent.seconds / HOUR_S, 4),
        "at_least": spent.at_least,
        "at_most": spent.at_most,
    }
