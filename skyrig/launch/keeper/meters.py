"""Measuring what the links of nodes carry: all at once, pair by pair, and a suspect alone.

The order of things is here, what it means in skyrig.preflight.links: a pair that was slow while others were measured
names nobody; a node is named when it was slow again alone, next to others that were not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from skyrig.launch.keeper import agents
from skyrig.launch.keeper.agents import Agent
from skyrig.launch.keeper.programs import ABSENT
from skyrig.preflight import links
from skyrig.preflight.asked import Asked
from skyrig.preflight.report import Measured, PairRate
from skyrig.preflight.rounds import Pair, tournament

_TRIES = 3
"""How often what may be chance is measured."""

_MOST_ROUNDS = 12
"""How often a suspect is measured with each of the others that it is measured with, at most."""

_ROUNDS_S = 4.0
"""After so many seconds no more often than has to be: where it goes quickly, more often costs little."""

_PLAIN = 0.2
"""A link that has less than this part of what makes it a slow one has to be measured one time less."""

_MOST_APART = 4
"""How many pairs are measured again alone that carried nothing between nodes whose links are well."""

Say = Callable[[str], None]
"""Takes one line for the reader."""


class Meter(Protocol):
    """What can measure."""

    @property
    def name(self) -> str:
        """What it is called in reports."""

    @property
    def inside(self) -> bool:
        """Whether it measures what is within one node too."""

    async def measure(self, nodes: Sequence[str], size: int, limit_s: float) -> Measured:
        """An all-reduce of `size` bytes over these nodes, which takes `limit_s` seconds at most."""


class Tcp:
    """Our own program: bytes over TCP, by agents."""

    name = "tcp"
    inside = False

    def __init__(self, there: Mapping[str, Agent]) -> None:
        self._there = there

    async def measure(self, nodes: Sequence[str], size: int, limit_s: float) -> Measured:
        """As Meter's."""
        members = [self._there[node] for node in nodes]
        rate, seconds, problem = await agents.ring(members, size, limit_s)
        if problem == agents.TIME_IS_UP and rate:
            problem = ""  # it was slow, and how slow is known
        return Measured(self.name, rate, size, seconds, problem)


@frozen
class Carried:
    """What was measured: over all nodes, in pairs, and for each node that is slow for good, what it reached at best and
    what others did."""

    whole: Measured = field(factory=Measured)
    pairs: tuple[PairRate, ...] = ()
    slow: Mapping[str, tuple[float, float]] = field(factory=dict)


async def carried(meter: Meter, nodes: Sequence[str], asked: Asked, say: Say, by_pairs: Meter | None = None) -> Carried:
    """Measure what the links between `nodes` carry; pairs with another meter, if one is given. NodeLost where a node
    falls silent over it."""
    if len(nodes) < 2 and not (nodes and meter.inside):
        return Carried()
    whole = await _whole(meter, nodes, asked)
    if len(nodes) < 2 or whole.problem.startswith(ABSENT) or _suffices(whole, asked):
        return Carried(whole)
    if len(nodes) == 2:
        for _ in range(_TRIES - 1):
            if whole.problem or whole.rate < asked.limits.least_rate:
                whole = max(whole, await _whole(meter, nodes, asked), key=lambda each: (not each.problem, each.rate))
        return Carried(whole, (PairRate(nodes[0], nodes[1], whole.rate, alone=True),))
    by_pairs = by_pairs or meter
    rates = await _paired(by_pairs, nodes, asked)
    pairs = [PairRate(nodes[a], nodes[b], rate) for (a, b), rate in sorted(rates.items())]
    suspects = links.slow(rates, asked.limits.slow_share)
    if suspects:
        say(f"measured again alone: {', '.join(nodes[each] for each in suspects)}")
    trusted = sorted(set(range(len(nodes))) - {*suspects}, key=lambda each: -links.best(rates)[each])
    slow = {}
    for suspect in suspects:
        own, right = await _alone(by_pairs, [nodes[each] for each in (suspect, *trusted)], links.right(rates), asked)
        pairs += [*own, *right]
        reached, others = [each.rate for each in own], [each.rate for each in right]
        if links.confirmed(reached, others, asked.limits.slow_share):
            slow[nodes[suspect]] = max(reached), links.twice(others)
    apart = [each for each in pairs if not each.rate and not slow.keys() & {each.one, each.other}]
    pairs += [await _once(by_pairs, each.one, each.other, asked) for each in apart[:_MOST_APART]]
    whole = await _whole(meter, nodes, asked) if whole.problem and not slow else whole
    return Carried(whole, tuple(pairs), slow)


async def _whole(meter: Meter, nodes: Sequence[str], asked: Asked) -> Measured:
    """What all reach together, of two tries the better one where the first was not as it should be."""
    sizes, expected = asked.sizes, asked.expected
    whole = await meter.measure(nodes, sizes.ring, sizes.ring_s)
    if whole.problem or expected is None or whole.rate >= expected.least:
        return whole
    return max(whole, await meter.measure(nodes, sizes.ring, sizes.ring_s), key=lambda each: each.rate)


def _suffices(whole: Measured, asked: Asked) -> bool:
    """Whether all reach together what is expected of them."""
    return not whole.problem and asked.expected is not None and whole.rate >= asked.expected.least


async def _paired(meter: Meter, nodes: Sequence[str], asked: Asked) -> dict[Pair, float]:
    """What pairs reach, as many of them at once as there can be."""
    sizes = asked.sizes
    rates: dict[Pair, float] = {}
    for met in tournament(len(nodes), sizes.rounds):
        pairs = [(nodes[a], nodes[b]) for a, b in met]
        found = await agents.together(meter.measure(pair, sizes.pair, sizes.pair_s) for pair in pairs)
        rates |= {pair: each.rate for pair, each in zip(met, found, strict=True)}
    return rates


async def _alone(
    meter: Meter, nodes: Sequence[str], beside: float, asked: Asked
) -> tuple[list[PairRate], list[PairRate]]:
    """Measure a suspect, the first of `nodes`, with the next ones, and these with each other, one pair after the other,
    until it is as quick as they are, or as pairs were `beside` others, or has had its tries: (its own, theirs)."""
    (suspect, one, other, *_), share = nodes, asked.limits.slow_share
    own: list[PairRate] = []
    right: list[PairRate] = []
    began = time.monotonic()
    for tries in range(1, _MOST_ROUNDS + 1):
        right.append(await _once(meter, one, other, asked))
        for partner in (one, other):
            own.append(await _once(meter, suspect, partner, asked))
            if own[-1].rate >= share * max(beside, *(each.rate for each in right)):
                return own, right
        reached, others = [each.rate for each in own], [each.rate for each in right]
        enough = _TRIES - links.confirmed(reached, others, share * _PLAIN)
        if tries >= enough and time.monotonic() - began > _ROUNDS_S:
            break
    return own, right


async def _once(meter: Meter, one: str, other: str, asked: Asked) -> PairRate:
    """What a pair reaches while no other is measured."""
    measured = await meter.measure((one, other), asked.sizes.pair, asked.sizes.pair_s)
    return PairRate(one, other, measured.rate, alone=True)
