"""Intervals and their sums, as pure functions: nothing is counted twice, nothing is lost between days."""

from __future__ import annotations

import itertools
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyrig.ledger import intervals as parts
from skyrig.ledger.entry import Entry, Kind
from skyrig.ledger.report import report

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
NOW = 1_793_000_000.0
DAY = 86400.0


def entry(number: int, began: float, ended: float, **more: object) -> Entry:
    """Something that happened to a cluster on AWS at $2 an hour, $0.10 when stopped."""
    said = {"power": "up", "cloud": "aws", "nodes": 1, "what": "it", "hourly": 2.0, "hourly_stopped": 0.1, **more}
    return Entry(f"e{number}", said.pop("kind", Kind.DEPLOYED), began, ended, **said)  # type: ignore[arg-type]


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """What may happen to a stack in three weeks before NOW, in any order."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        began = NOW - draw(st.floats(0, 21 * DAY))
        kind = draw(st.sampled_from(Kind))
        price = draw(st.sampled_from([None, 0.5, 2.0, 80.0]))
        lasted = 0.0 if kind in (Kind.OFF, Kind.CUT) else draw(st.floats(0, 3600))
        power = draw(st.sampled_from(["up", "stopped", "down"]))
        found.append(
            entry(number, began, min(NOW, began + lasted), kind=kind, power=power, hourly=price,
                  what=f"it at {price}", sure=draw(st.booleans()))
        )  # fmt: skip
    return found


@given(histories())
def test_nothing_overlaps_and_only_the_last_goes_on(history: list[Entry]) -> None:
    found = parts.intervals("s", history)
    for before, after in itertools.pairwise(found):
        assert before.end is not None and before.start < before.end <= after.start
    assert all(each.power in ("up", "stopped") for each in found)


@given(histories(), st.randoms())
def test_order_and_repetition_change_nothing(history: list[Entry], random: object) -> None:
    again = [*history, *history]
    random.shuffle(again)  # type: ignore[attr-defined]
    assert parts.intervals("s", again) == parts.intervals("s", history)


@given(histories(), st.sampled_from(ZONES))
def test_days_come_to_the_whole_and_are_whole_days_at_most(history: list[Entry], zone: str) -> None:
    found = parts.intervals("s", history)
    days = parts.by_day(found, NOW, ZoneInfo(zone))
    whole = parts.total(found, NOW)
    assert sum(each.usd for each in days.values()) == pytest.approx(whole.usd, abs=1e-6)
    assert sum(each.seconds for each in days.values()) == pytest.approx(whole.seconds, abs=0.1)
    assert all(each.seconds <= 25 * 3600 + 1 for each in days.values())
    assert list(days) == sorted(days)


@given(histories(), st.floats(0, 22 * DAY))
def test_two_halves_come_to_the_whole(history: list[Entry], ago: float) -> None:
    found = parts.intervals("s", history)
    halves = [parts.within(found, 0, NOW - ago), parts.within(found, NOW - ago, NOW)]
    total = sum(parts.total(half, NOW).usd for half in halves)
    assert total == pytest.approx(parts.total(found, NOW).usd, abs=1e-6)


@pytest.mark.parametrize(
    ("history", "usd", "words"),
    [
        ([entry(1, 0, 600), entry(2, 3600, 3700, power="down")], 2 * 3700 / 3600, "$2.06"),
        ([entry(1, 0, 600), entry(2, 3600, 4000, power="stopped")], 2 * 4000 / 3600 + 0.1 * 3200 / 3600, "$2.31"),
        ([entry(1, 0, 0), entry(2, 3600, 3600, kind=Kind.OFF, power="down")], 2.0, "$2.00"),
        ([entry(1, 0, 0), entry(2, 3600, 3600, kind=Kind.OFF, power="stopped")], 2.1, "$2.10"),
        ([entry(1, 0, 0, hourly=None), entry(2, 3600, 3600, power="down")], 0.0, "at least $0.00"),
        ([entry(1, 0, 0, kind=Kind.FAILED, sure=False), entry(2, 3600, 3600, power="down")], 2.0, "at most $2.00"),
        # twice as much holds from the beginning of the deployment, half as much from its end
        ([entry(1, 0, 0), entry(2, 3600, 5400, hourly=4.0)], 2.0 + 4.0, "$6.00"),
        ([entry(1, 0, 0), entry(2, 3600, 5400, hourly=1.0)], 3.0 + 0.5, "$3.50"),
        # what a run was seen to begin with is nothing of its own once its end is known
        ([entry(1, 0, 3600), entry(2, 1800, 1800, kind=Kind.CUT, sure=False)], 4.0, "$4.00"),
        ([entry(1, 1800, 1800, kind=Kind.CUT, sure=False)], 3.0, "at most $3.00"),
    ],
)
def test_what_things_cost_until_two_hours_are_over(history: list[Entry], usd: float, words: str) -> None:
    spent = parts.total(parts.intervals("s", history), 7200.0)
    assert spent.usd == pytest.approx(usd)
    assert str(spent) == words


def test_what_goes_on_unchanged_is_one_interval() -> None:
    found = parts.intervals("s", [entry(1, 0, 100), entry(2, 200, 300), entry(3, 400, 500)])
    assert [(each.start, each.end) for each in found] == [(0, None)]


def test_a_report_counts_days_of_the_clock_there() -> None:
    zone = ZoneInfo("America/New_York")
    now = datetime(2026, 3, 9, 6, tzinfo=zone).timestamp()  # the clocks went forward on the 8th
    began = datetime(2026, 3, 7, 18, tzinfo=zone).timestamp()
    found = {"s": parts.intervals("s", [entry(1, began, began)]), "here": []}
    said = report(found, 2, now, zone)
    assert {day: spent.usd for day, spent in said.days.items()} == {
        date(2026, 3, 8): pytest.approx(46.0),
        date(2026, 3, 9): pytest.approx(12.0),
    }
    [on] = said.running
    assert (on.so_far.usd, on.at_midnight) == (pytest.approx(70.0), pytest.approx(70.0 + 36.0))
    assert said.month.usd == pytest.approx(70.0) and said.total.usd == pytest.approx(58.0)
