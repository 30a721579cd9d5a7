"""Limits on what is spent: what is refused, and in which words."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from attrs import evolve
from ledger_site import UP, Site

from skyrig import places
from skyrig.cluster import policy
from skyrig.cluster.machine import Capacity, Machine
from skyrig.cluster.policy import Policy, Wish
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput
from skyrig.ledger import rates
from skyrig.stack import limits, stacks

MACHINE = Machine(instance_type="a3-megagpu-8g", region="us-central1", zone="us-central1-a", network_tier="best")
ONE = resized(Shape(cloud="gcp", machine=MACHINE), 1)
HOUR = 3600.0


def user_says(**said: float) -> None:
    """Write the user's limits."""
    places.made(places.home())
    places.limits().write_text("".join(f"{key}: {value}\n" for key, value in said.items()))


def price(shape: Shape) -> float:
    """USD an hour."""
    found = rates.up(shape)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("own", "user", "refused"),
    [
        ({}, {}, ""),
        ({"max_hourly": 1e4, "budget": 1e6}, {"max_hourly": 1e4, "stack_hourly": 1e4, "budget_month": 1e6}, ""),
        ({"max_hourly": 50}, {}, r"costs \$\d+\.\d+/h, more than the \$50.00/h it may .nothing was made"),
        ({}, {"stack_hourly": 50}, r"more than the \$50.00/h it may"),
        (
            {},
            {"max_hourly": 150},
            r"would add \$\d+\.\d+/h to the \$\d+\.\d+/h that runs now: more than the \$150.00/h",
        ),
        ({}, {"budget_month": 50}, r"of the budget of this month, \$50.00, \$\d+.\d\d is spent"),
        ({"budget": 10}, {}, r"of the budget of its own, \$10.00, \$0.00 is spent"),
    ],
)
def test_what_would_be_too_much_is_refused(
    site: Site, own: dict[str, float], user: dict[str, float], refused: str
) -> None:
    began = max(time.time() - HOUR / 2, 0)
    site.deploy("other", [(UP, began, began)])
    user_says(**user)
    wanted = evolve(ONE, policy=Policy(**own))
    if not refused:
        assert stacks.within_limits("mine", wanted) == []
        return
    with pytest.raises(BadInput, match=refused):
        stacks.within_limits("mine", wanted)
    assert stacks.within_limits("mine", evolve(wanted, power="stopped")) == []
    assert stacks.within_limits("mine", Shape(policy=wanted.policy)) == []


def test_what_is_there_already_stays_whatever_the_limits_say(site: Site) -> None:
    began = time.time() - HOUR
    two = resized(ONE, 2)
    there = limits.Spent({"mine": limits.parts.intervals("mine", [_entry(two, began)])}, time.time())
    tight = limits.Limits(max_hourly=1, stack_hourly=1)
    assert limits.judge("mine", two, price(two), tight, there) == []
    assert limits.judge("mine", ONE, price(ONE), tight, there) == []
    with pytest.raises(BadInput, match="more than"):
        limits.judge("mine", resized(ONE, 3), price(resized(ONE, 3)), tight, there)


def test_what_has_no_known_price_cannot_be_held_to_a_limit(site: Site) -> None:
    odd = evolve(ONE, machine=evolve(MACHINE, region="nowhere1", capacity=Capacity("spot")))
    assert stacks.within_limits("mine", odd) == []
    with pytest.raises(BadInput, match="the price is not known, so that a limit cannot be checked"):
        stacks.within_limits("mine", evolve(odd, policy=Policy(budget=1e9)))


def test_a_budget_that_is_nearly_spent_is_told(site: Site) -> None:
    began = time.time() - 10 * HOUR
    there = limits.Spent({"mine": limits.parts.intervals("mine", [_entry(ONE, began)])}, time.time())
    shape = evolve(ONE, policy=Policy(budget=10 * price(ONE) / 0.9))
    assert limits.judge("mine", shape, price(shape), limits.Limits(), there) == [
        f"${10 * price(ONE):.2f} of the budget of mine, ${10 * price(ONE) / 0.9:.2f}, is spent"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_hourly: lots\n", "max_hourly: 'lots' is no amount of USD"),
        ("max_hourley: 5\n", "'max_hourley' is no limit .one of: max_hourly"),
        ("- 5\n", "a mapping is wanted"),
        ("max_hourly: -1\n", "is no amount of USD"),
        ("a: b: c\n", "no YAML"),
    ],
)
def test_a_file_that_makes_no_sense_stops_all_that_costs(site: Site, text: str, said: str) -> None:
    places.made(places.home())
    places.limits().write_text(text)
    with pytest.raises(BadInput, match=said):
        stacks.within_limits("mine", ONE)


@pytest.mark.parametrize("text", ["", "8", "8x", "0s", "h", "8 h", "1e3s", "99999999w", "-8h"])
def test_a_time_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--ttl"):
        Wish(ttl=text).applied(Policy(), 0.0)


def test_a_time_to_live_is_counted_once_and_survives_the_config() -> None:
    asked = Wish(ttl="1h30m", max_hourly="12.5").applied(Policy(budget=3.0), 1000.0)
    assert asked.ttl is not None and (asked.ttl.said, asked.ttl.ends_at) == ("1h30m", 1000.0 + 5400.0)
    kept = Shape(policy=asked).to_config()
    assert kept["ttl"] == "1h30m until 1970-01-01T01:46:40Z"
    assert policy.from_config({"maxHourly": "", "budget": "", **kept}) == asked == asked.counted(5000.0)
    assert Wish(ttl="none", max_hourly="none").applied(asked, 0.0) == Policy(budget=3.0)
    over = stacks.counted(Shape(policy=asked)).policy.ttl
    assert over is not None and time.time() + 5300 < over.ends_at < time.time() + 5500


def _entry(shape: Shape, began: float) -> limits.parts.Entry:
    """A deployment of a shape, that is still there."""
    return limits.parts.Entry("1", limits.parts.Kind.DEPLOYED, began, began, "up", "gcp", what=str(shape),
                              hourly=price(shape))  # fmt: skip


def test_the_file_is_where_the_docs_say(site: Site) -> None:
    assert places.limits() == site.home / "limits.yaml"
    assert limits.read(Path("/nowhere")) == limits.Limits()
