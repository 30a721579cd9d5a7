"""From entries to intervals of what was paid for, and sums of these. Pure functions; nothing is counted twice.

A cluster that grows costs its new price from the moment at which the deployment began, one that shrinks its old price
until the deployment ended. One that failed half-way is taken for what it was to become: some of its nodes may be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta, tzinfo

from attrs import evolve, frozen

from skyrig.ledger.entry import Entry, Kind

HOUR_S = 3600.0


@frozen
class Interval:
    """From `start` to `end` (seconds since the epoch; None: it goes on) a stack had `what` on `cloud`, for `hourly` USD
    an hour (None: not known). `sure` is false where less may have been there, or not for so long."""

    stack: str
    start: float
    end: float | None
    hourly: float | None
    what: str
    cloud: str
    power: str
    of: Entry
    sure: bool = True

    def seconds(self, now: float) -> float:
        """How long it was, up to `now`."""
        return max(0.0, min(now, self.end if self.end is not None else now) - self.start)

    def cost(self, now: float) -> float:
        """USD up to `now`; 0 where the price is not known."""
        return (self.hourly or 0.0) * self.seconds(now) / HOUR_S


@frozen
class Sum:
    """What intervals come to. `at_least` is true where some have no known price, `at_most` where some may have been
    less."""

    usd: float = 0.0
    seconds: float = 0.0
    at_least: bool = False
    at_most: bool = False

    def __str__(self) -> str:
        """USD with two decimals, and how sure that is."""
        about = "about " if self.at_least and self.at_most else "at least " if self.at_least else ""
        return f"{about or ('at most ' if self.at_most else '')}${self.usd:.2f}"


def intervals(stack: str, entries: Iterable[Entry]) -> list[Interval]:
    """What was paid for, one after another; they never overlap. Entries may come in any order, and repeated. What goes
    on unchanged at an unchanged price is one interval."""
    once = _once(entries)
    found: list[Interval] = []
    now: Entry | None = None
    since = 0.0
    for each in sorted(once, key=lambda one: (one.ended, one.began, one.id)):
        each = _after(now, each)
        at = max(since, each.began if _dearer(each, now) else each.ended)
        if now is not None and _is_there(now) and at > since:
            _join(found, _interval(stack, now, since, at, ended_by=each))
        now, since = each, at
    if now is not None and _is_there(now):
        _join(found, _interval(stack, now, since, None))
    return found


def within(found: Iterable[Interval], start: float, end: float) -> list[Interval]:
    """The parts of intervals between two moments; one that goes on after `end` ends there."""
    parts = [
        evolve(each, start=max(each.start, start), end=end if each.end is None else min(each.end, end))
        for each in found
    ]
    return [each for each in parts if each.end is not None and each.start < each.end]


def total(found: Iterable[Interval], now: float) -> Sum:
    """What intervals have cost up to `now`."""
    found = [each for each in found if each.seconds(now) > 0]
    return Sum(
        usd=sum(each.cost(now) for each in found),
        seconds=sum(each.seconds(now) for each in found),
        at_least=any(each.hourly is None for each in found),
        at_most=any(not each.sure for each in found),
    )


def by(key: Callable[[Interval], str], found: Iterable[Interval], now: float) -> dict[str, Sum]:
    """Sums by what `key` says of an interval, in the order of their first ones."""
    groups: dict[str, list[Interval]] = {}
    for each in found:
        groups.setdefault(key(each), []).append(each)
    return {name: total(group, now) for name, group in groups.items()}


def by_day(found: Iterable[Interval], now: float, zone: tzinfo | None = None) -> dict[date, Sum]:
    """Sums by day in `zone` (None: this machine's), in order, the days without anything between them too."""
    parts: dict[date, list[Interval]] = {}
    for each in found:
        end = each.start + each.seconds(now)
        start = each.start
        while start < end:
            day = datetime.fromtimestamp(start, zone).date()
            until = min(end, max(midnight(day + timedelta(days=1), zone), start + 1e-3))
            parts.setdefault(day, []).append(evolve(each, start=start, end=until))
            start = until
    if not parts:
        return {}
    count = (max(parts) - min(parts)).days + 1
    days = [min(parts) + timedelta(days=number) for number in range(count)]
    return {day: total(parts.get(day, ()), now) for day in days}


def midnight(day: date, zone: tzinfo | None = None) -> float:
    """When a day begins in `zone` (None: this machine's), seconds since the epoch."""
    return datetime.combine(day, time(), zone).timestamp()


def running(found: Sequence[Interval]) -> Interval | None:
    """The interval that goes on; None where nothing does."""
    return found[-1] if found and found[-1].end is None else None


def _once(entries: Iterable[Entry]) -> list[Entry]:
    """Each entry once; and none of a deployment that was still going on when it was seen, where its end is known."""
    once = list({each.id: each for each in entries}.values())
    spans = [(each.began, each.ended) for each in once if each.kind in (Kind.DEPLOYED, Kind.FAILED)]
    return [
        each
        for each in once
        if each.kind is not Kind.CUT or not any(began <= each.began <= ended for began, ended in spans)
    ]


def _join(found: list[Interval], more: Interval) -> None:
    """Put an interval behind the others: into the last one where that is the same and ends as it starts."""
    last = found[-1] if found else None
    if last is not None and evolve(last, start=more.start, end=more.end, of=more.of) == more and last.end == more.start:
        found[-1] = evolve(more, start=last.start)
    else:
        found.append(more)


def _after(before: Entry | None, each: Entry) -> Entry:
    """What there is after an entry: a cluster that went off by itself is the one that it was, in another power."""
    if each.kind is not Kind.OFF or before is None:
        return each
    return evolve(before, id=each.id, kind=each.kind, began=each.began, ended=each.ended, power=_off(before, each),
                  sure=each.sure)  # fmt: skip


def _off(before: Entry, each: Entry) -> str:
    """What was down or stopped already stays so."""
    return before.power if before.power == "down" or (before.power, each.power) == ("stopped", "up") else each.power


def _is_there(entry: Entry) -> bool:
    return entry.power != "down" and bool(entry.cloud)


def _dearer(each: Entry, before: Entry | None) -> bool:
    """Whether an entry's price holds from its beginning on: it is higher, or one of both is not known."""
    rate, was = each.rate, before.rate if before is not None and _is_there(before) else 0.0
    return each.kind is not Kind.OFF and _is_there(each) and (rate is None or was is None or rate > was)


def _interval(stack: str, entry: Entry, start: float, end: float | None, ended_by: Entry | None = None) -> Interval:
    guessed = ended_by is not None and ended_by.kind is Kind.OFF and not ended_by.sure
    sure = entry.sure and not guessed
    return Interval(stack, start, end, entry.rate, entry.what, entry.cloud, entry.power, entry, sure)
