"""Random preemption on the local cloud: which nodes go and when, as a function of a seed, and having it done."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from skyrig import local
from skyrig.local import LocalNode

Notify = Callable[[str], None]
"""Takes one line for the reader."""


@frozen
class Strike:
    """One preemption: `at` seconds after the beginning; `pick` of [0, 1) says which of the nodes that there are then
    goes."""

    at: float
    pick: float

    def of(self, nodes: Sequence[LocalNode]) -> LocalNode:
        """The node that goes, of one at least."""
        return nodes[int(self.pick * len(nodes))]


@frozen
class Storm:
    """What is wanted: a preemption every `every_s` seconds in the mean, at exponentially distributed moments, whichever
    node it is; of spot nodes alone, or of all with `any_market`; of one cluster or of all ("" is all). Each node is
    warned `notice_s` seconds before. It ends after `lasts_s` seconds and after `count` nodes."""

    seed: int
    every_s: float
    notice_s: int = 0
    cluster: str = ""
    any_market: bool = False
    lasts_s: float = math.inf
    count: float = math.inf

    def strikes(self) -> Iterator[Strike]:
        """All moments and picks, without end: the same for the same seed and mean."""
        dice, at = random.Random(self.seed), 0.0
        while True:
            at += dice.expovariate(1 / self.every_s)
            yield Strike(at, dice.random())

    def targets(self, nodes: Sequence[LocalNode]) -> list[LocalNode]:
        """The nodes that may go now, in the order in which they are picked from: those that are up, and are not about
        to be killed already. One that is being replaced is not up."""
        return [
            node
            for node in nodes
            if node.status == "UP"
            and not node.leaves_at
            and self.cluster in ("", node.cluster)
            and (node.spot or self.any_market)
        ]


def run(storm: Storm, notify: Notify) -> int:
    """Have a storm pass, and tell each preemption in a line; how many nodes went. A moment at which there is nobody to
    take passes without one. Returns when the storm is over; what it has warned is killed when its time comes, also
    after that."""
    began, taken = time.monotonic(), 0
    for strike in storm.strikes():
        left = min(strike.at, storm.lasts_s) - (time.monotonic() - began)
        if left > 0:
            time.sleep(left)
        if strike.at > storm.lasts_s:
            break
        there = storm.targets(local.nodes())
        if not there:
            notify(f"{strike.at:.1f} s: no {'' if storm.any_market else 'spot '}node is up: none is preempted")
            continue
        node = strike.of(there)
        if not local.take(node, storm.notice_s):
            notify(f"{strike.at:.1f} s: node {node.cluster}/{node.name} is gone already")
            continue
        how = f"will be killed in {storm.notice_s} s" if storm.notice_s else "was killed"
        notify(f"{strike.at:.1f} s: node {node.cluster}/{node.name} {how}")
        taken += 1
        if taken >= storm.count:
            break
    return taken
