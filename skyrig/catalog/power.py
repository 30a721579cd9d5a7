"""How nodes of a cloud stop, end themselves and start again, and what is still paid for when they are off.

`data/CLOUD/power.json`: `stop`, `end`, `start` in words; `billed_when_stopped`; `stop_itself` and `end_itself`, the
commands with which a node does that; `identity`, the rights that these need, each with its reason; `refused`, by the
capacity kind or accelerator family that it holds for, why a node cannot be stopped; `sources`.
"""

from __future__ import annotations

from attrs import evolve

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.description import Power
from skyrig.cluster.machine import Capacity


def of(kind: InstanceType, capacity: Capacity) -> Power:
    """The power of nodes of a type that are paid for like that. What cannot be stopped can still end itself."""
    said = facts.of(kind.cloud, "power")
    power = Power(
        stop=said["stop"],
        end=said["end"],
        start=said["start"],
        billed_when_stopped=tuple(said["billed_when_stopped"]),
        stop_itself=said["stop_itself"],
        end_itself=said["end_itself"],
    )
    for family in (capacity.kind, kind.fabric, kind.accelerator):
        if family in said["refused"]:
            return evolve(power, stop="", start="", stop_itself="", refused=said["refused"][family])
    return power
