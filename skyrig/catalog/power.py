"""How nodes of a cloud stop, end themselves and start again, and what is still paid for when they are off.

`data/CLOUD/power.json`: `stop`, `end`, `start` in words; `billed_when_stopped`; `stop_itself` and `end_itself`, the
commands with which a node does that; `identity`, the rights that these need, each with its reason; `refused`, by the
capacity kind, fabric or accelerator that it holds for, why a node cannot be stopped; `cannot_end`, where there is one,
by the same, why it cannot end itself; `sources`.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.description import Power
from skyrig.cluster.machine import Capacity


def of_all(kind: InstanceType, capacities: Iterable[Capacity]) -> Power:
    """The power of a cluster whose nodes are paid for in several ways: as those have it that can do the least."""
    found = [of(kind, each) for each in dict.fromkeys(capacities)]
    return min(found, key=lambda power: (not power.refused, bool(power.end_itself)))


def of(kind: InstanceType, capacity: Capacity) -> Power:
    """The power of nodes of a type that are paid for like that. Most that cannot be stopped can still end itself."""
    said = facts.of(kind.cloud, "power")
    power = Power(
        stop=said["stop"],
        end=said["end"],
        start=said["start"],
        billed_when_stopped=tuple(said["billed_when_stopped"]),
        stop_itself=said["stop_itself"],
        end_itself=said["end_itself"],
    )
    families = (capacity.kind, kind.fabric, kind.accelerator)
    unstoppable = next((said["refused"][family] for family in families if family in said["refused"]), "")
    if unstoppable:
        power = evolve(power, stop="", start="", stop_itself="", refused=unstoppable)
    if any(family in said.get("cannot_end", {}) for family in families):
        power = evolve(power, end="", end_itself="")
    return power
