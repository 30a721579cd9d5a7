"""One slow link is named wherever it is, and none on an even cluster: pure functions over made rates."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from attrs import define
from hypothesis import given, settings

from skyrig.launch.keeper import meters
from skyrig.preflight import links
from skyrig.preflight.asked import Asked
from skyrig.preflight.report import Measured
from skyrig.preflight.rounds import tournament

NOISE = st.floats(0.6, 1.0)
"""How much of its rate a good pair reaches when it is measured beside others."""


@given(st.integers(2, 40))
def test_every_pair_meets_once_and_nobody_twice_in_a_round(count: int) -> None:
    rounds = tournament(count)
    met = [pair for each in rounds for pair in each]
    assert sorted(met) == [(a, b) for a in range(count) for b in range(a + 1, count)]
    for each in rounds:
        members = [member for pair in each for member in pair]
        assert len(members) == len(set(members)) >= count - 1
    assert len(rounds) == (count - 1 if count % 2 == 0 else count)
    assert tournament(count, 2) == rounds[:2]


@settings(max_examples=60)
@given(st.data(), st.integers(3, 16), st.floats(1e6, 1e11))
def test_one_slow_link_is_the_one_that_is_named(data: st.DataObject, count: int, base: float) -> None:
    bad = data.draw(st.integers(0, count - 1))
    factor = data.draw(st.floats(0.0, 0.25))
    rates = {
        pair: base * data.draw(NOISE) * (factor if bad in pair else 1.0) for each in tournament(count) for pair in each
    }
    assert links.slow(rates) == (bad,)


@settings(max_examples=60)
@given(st.data(), st.integers(2, 16), st.floats(1e6, 1e11))
def test_none_is_named_on_an_even_cluster(data: st.DataObject, count: int, base: float) -> None:
    rates = {pair: base * data.draw(NOISE) for each in tournament(count, 4) for pair in each}
    assert links.slow(rates) == ()


def test_a_bad_pair_of_good_links_blames_neither() -> None:
    rates = {pair: 0.1 if pair == (1, 3) else 1.0 for each in tournament(6) for pair in each}
    assert links.slow(rates) == ()


@define
class Rehearsed:
    """A meter over links of given rates; `hiccups` are nodes that are slow as long as others are measured beside."""

    rates: dict[str, float]
    hiccups: frozenset[str] = frozenset()
    walls: frozenset[frozenset[str]] = frozenset()
    at_work: int = 0
    name: str = "tcp"
    inside: bool = False

    async def measure(self, nodes: Sequence[str], size: int, limit_s: float) -> Measured:
        self.at_work += 1
        await asyncio.sleep(0)
        if any(wall <= {*nodes} for wall in self.walls):
            self.at_work -= 1
            return Measured(self.name, 0.0, size, limit_s, "nobody connected")
        disturbed = self.at_work > 1 and self.hiccups & {*nodes}
        await asyncio.sleep(0)
        self.at_work -= 1
        return Measured(self.name, min(self.rates[node] for node in nodes) * (0.01 if disturbed else 1), size, 0.1)


@settings(max_examples=30)
@given(st.integers(4, 9), st.data())
def test_who_is_slow_beside_others_only_is_cleared_alone(count: int, data: st.DataObject) -> None:
    nodes = [f"n{number}" for number in range(count)]
    hiccup, bad = data.draw(st.lists(st.sampled_from(nodes), min_size=2, max_size=2, unique=True))
    rates = {node: 1e6 if node == bad else 1e9 for node in nodes}
    for slow, hiccups in (({bad}, frozenset({hiccup})), (set(), frozenset({hiccup}))):
        meter = Rehearsed(rates if slow else dict.fromkeys(nodes, 1e9), hiccups)
        found = asyncio.run(meters.carried(meter, nodes, Asked(), lambda line: None))
        assert {*found.slow} == slow


def test_two_nodes_are_measured_and_neither_is_blamed() -> None:
    found = asyncio.run(meters.carried(Rehearsed({"n0": 1e9, "n1": 1e3}), ["n0", "n1"], Asked(), lambda line: None))
    assert not found.slow
    assert found.pairs[0].rate == 1e3


def test_a_wall_between_two_nodes_is_measured_alone_and_blames_neither() -> None:
    nodes = [f"n{number}" for number in range(5)]
    meter = Rehearsed(dict.fromkeys(nodes, 1e9), walls=frozenset({frozenset({"n1", "n3"})}))
    found = asyncio.run(meters.carried(meter, nodes, Asked(), lambda line: None))
    assert not found.slow
    assert [(each.one, each.other) for each in found.pairs if each.alone] == [("n1", "n3")]


def test_many_slow_links_are_all_named() -> None:
    rates = {f"n{number:02}": 1e6 if number < 11 else 1e9 for number in range(24)}
    found = asyncio.run(meters.carried(Rehearsed(rates), list(rates), Asked(), lambda line: None))
    assert {*found.slow} == {node for node, rate in rates.items() if rate == 1e6}


@define
class Busy:
    """A meter on a machine that has other things to do: most of what is measured stands still for a while, whatever the
    links carry."""

    chance: random.Random
    slow: str = ""
    name: str = "tcp"
    inside: bool = False

    async def measure(self, nodes: Sequence[str], size: int, limit_s: float) -> Measured:
        seconds = size / (6e6 if self.slow in nodes else 1.6e9)
        while self.chance.random() > 0.25:
            seconds += self.chance.expovariate(1 / 0.02)
        return Measured(self.name, size / seconds, size, seconds)


@pytest.mark.parametrize("slow", ["", "n3"])
def test_a_busy_machine_names_nobody_but_who_is_slow(slow: str) -> None:
    nodes = [f"n{number}" for number in range(8)]
    meter = Busy(random.Random(7), slow)
    found = [asyncio.run(meters.carried(meter, nodes, Asked(), lambda line: None)) for _ in range(40)]
    assert [{*each.slow} for each in found] == [{slow} - {""}] * 40
