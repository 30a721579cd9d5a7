"""Plans of faults as values: made from a seed, printed as JSON, run again exactly."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import cattrs
from attrs import frozen

WEIGHTS = {
    "node": 2,
    "engine": 1,
    "keeper": 3,
    "watch": 1,
    "daemon": 2,
    "warden": 1,
    "rank": 2,
    "cut": 4,
    "slow": 2,
    "freeze": 2,
    "client": 2,
    "full": 2,
}
"""Kinds of faults and how often each comes, against the others. What each does: `trouble.py`."""


@frozen
class Planned:
    """One fault: `at` seconds after the run began, on `node` (an id), for `seconds`. `pick` chooses among what is there
    at that moment (the pick-th process, modulo how many there are), `detail` is the kind's own (a cut's direction)."""

    at: float
    kind: str
    node: str
    seconds: float
    pick: int
    detail: str = ""


@frozen
class FaultPlan:
    """Timed faults, in the order they come. `seed` also makes the load that runs beside them."""

    seed: int
    length_s: float
    faults: tuple[Planned, ...]

    @classmethod
    def random(cls, seed: int, count: int, length_s: float, nodes: Sequence[str]) -> FaultPlan:
        """`count` faults spread over `length_s` seconds on `nodes`, whose first is the head and dies more seldom."""
        dice = random.Random(seed)
        step = length_s / count
        faults = tuple(_one(dice, (number + dice.random()) * step, nodes) for number in range(count))
        return cls(seed, length_s, tuple(sorted(faults, key=lambda fault: fault.at)))

    def as_json(self) -> str:
        """What `read` reads, one fault a line."""
        faults = ",\n  ".join(json.dumps(cattrs.unstructure(fault)) for fault in self.faults)
        return f'{{"seed": {self.seed}, "length_s": {self.length_s}, "faults": [\n  {faults}\n]}}\n'

    @classmethod
    def read(cls, path: Path) -> FaultPlan:
        """The plan in a file."""
        return cattrs.structure(json.loads(path.read_text()), cls)


def _one(dice: random.Random, at: float, nodes: Sequence[str]) -> Planned:
    kind = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    head_too = kind not in ("node", "engine") or dice.random() < 0.2
    node = dice.choice(nodes if head_too else nodes[1:])
    length = {"cut": (1, 15), "slow": (1, 8), "freeze": (0.5, 5), "full": (1, 6), "node": (0.5, 3), "engine": (0.3, 3)}
    seconds = round(dice.uniform(*length.get(kind, (0, 0))), 2)
    detail = dice.choice(("both", "both", "out", "in")) if kind == "cut" else ""
    return Planned(round(at, 2), kind, node, seconds, dice.randrange(1000), detail)
