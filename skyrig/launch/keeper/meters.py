"""Measuring what the links of nodes carry: all at once, pair by pair, and a suspect alone.

The order of things is here, what it means in skyrig.preflight.links: a pair that was slow while others were measured
names nobody; a node is named when it was slow again alone, next to others that were not.
"""

from __future__ import annotations

import asyncio
import itertools
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
"""How often a suspect is measured with each of the others that it is measured with, at most."""

_PLAIN = 0.2
"""A link that has less than this part of what makes it a slow one is measured no more often."""

_PARTNERS = 2
"""With how many others that is."""

_MOST_SUSPECTS = 8
"""More suspects than that are no matter of single nodes."""

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
        self._rings = itertools.count(1)

    async def measure(self, nodes: Sequence[str], size: int, limit_s: float) -> Measured:
        """As Meter's."""
        members = [self._there[node] for node in nodes]
        rate, seconds, problem = await agents.ring(members, size, limit_s, f"ring-{next(self._rings)}")
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
    sizes = asked.sizes
    whole = await meter.measure(nodes, sizes.ring, sizes.ring_s)
    if len(nodes) < 2 or whole.problem.startswith(ABSENT):
        return Carried(whole)
    expected = asked.expected
    if not whole.problem and expected is not None and whole.rate < expected.least:
        whole = max(whole, await meter.measure(nodes, sizes.ring, sizes.ring_s), key=lambda each: each.rate)
    if not whole.problem and expected is not None and whole.rate >= expected.least:
        return Carried(whole)
    if len(nodes) == 2:
        return Carried(whole, (PairRate(nodes[0], nodes[1], whole.rate, alone=True),))
    meter = by_pairs or meter
    rates = await _paired(meter, nodes, asked)
    pairs = tuple(PairRate(nodes[a], nodes[b], rate) for (a, b), rate in sorted(rates.items()))
    suspects = links.slow(rates, asked.limits.slow_share)
    if not suspects or len(suspects) > _MOST_SUSPECTS:
        return Carried(whole, pairs)
    say(f"measured again alone: {', '.join(nodes[each] for each in suspects)}")
    trusted = sorted(set(range(len(nodes))) - {*suspects}, key=lambda each: -links.best(rates)[each])
    slow, more = {}, []
    for suspect in suspects:
        found = await _alone(meter, nodes, suspect, trusted, asked)
        more += found
        own = max(each.rate for each in found if nodes[suspect] in (each.one, each.other))
        right = max(each.rate for each in found if nodes[suspect] not in (each.one, each.other))
        if links.confirmed(own, right, asked.limits.slow_share):
            slow[nodes[suspect]] = own, right
    return Carried(whole, (*pairs, *more), slow)


async def _paired(meter: Meter, nodes: Sequence[str], asked: Asked) -> dict[Pair, float]:
    """What pairs reach, as many of them at once as there can be."""
    sizes, rates = asked.sizes, {}
    for met in tournament(len(nodes), sizes.rounds):
        pairs = [(nodes[a], nodes[b]) for a, b in met]
        found = await asyncio.gather(
            *(meter.measure(pair, sizes.pair, sizes.pair_s) for pair in pairs), return_exceptions=True
        )
        for pair, each in zip(met, found, strict=True):
            if isinstance(each, BaseException):
                raise each
            rates[pair] = each.rate
    return rates


async def _alone(
    meter: Meter, nodes: Sequence[str], suspect: int, trusted: Sequence[int], asked: Asked
) -> list[PairRate]:
    """Measure a suspect with nodes that are not, and these with each other, one pair after the other, until it is as
    quick as they are or has had its tries."""
    sizes, share = asked.sizes, asked.limits.slow_share
    found: list[PairRate] = []

    async def once(one: int, other: int) -> float:
        measured = await meter.measure((nodes[one], nodes[other]), sizes.pair, sizes.pair_s)
        found.append(PairRate(nodes[one], nodes[other], measured.rate, alone=True))
        return measured.rate

    own = right = 0.0
    for _ in range(_TRIES):
        right = max(right, await once(trusted[0], trusted[1]))
        for partner in trusted[:_PARTNERS]:
            own = max(own, await once(suspect, partner))
            if not links.confirmed(own, right, share):
                return found
        if links.confirmed(own, right, share * _PLAIN):
            return found
    return found
