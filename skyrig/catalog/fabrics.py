"""The network between nodes, by instance type: its kind, and the environment that it wants of a job.

`data/CLOUD/fabric.json` by kind: `env`, `env_by_type` (laid over it), `sources`, and what else that cloud's component
reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.description import Fabric
from skyrig.cluster.machine import Machine


def of(kind: InstanceType, network_tier: str) -> Fabric:
    """The fabric of nodes of a type: its own with network tier `best`, else none."""
    if network_tier != "best" or kind.fabric == "none":
        return Fabric()
    said = facts.of(kind.cloud, "fabric").get(kind.fabric, {})
    return Fabric(kind=kind.fabric, env={**said.get("env", {}), **said.get("env_by_type", {}).get(kind.name, {})})


def of_machine(cloud: str, machine: Machine, kind: InstanceType | None) -> Fabric:
    """The fabric of nodes before they are made: the one that was found where they will be (`machine.pods`), else that
    of their type."""
    there = json.loads(machine.pods) if machine.pods else {}
    if machine.network_tier == "best" and there.get("fabric"):
        return Fabric(there["fabric"], env(cloud, there["fabric"], there.get("devices", {})))
    return of(kind, machine.network_tier) if kind is not None else Fabric()


def env(cloud: str, kind: str, devices: Mapping[str, str]) -> dict[str, str]:
    """The environment that a fabric which was found wants of a job whose nodes ask for these `devices`."""
    said = facts.of(cloud, "fabric").get(kind, {})
    if any(name.startswith(tuple(said.get("env_without", ()))) for name in devices if said.get("env_without")):
        return {}
    return dict(said.get("env", {}))


def remark(kind: InstanceType, network_tier: str, nodes: int) -> str:
    """What is to be known of the network of so many nodes before anything is made; "" where it is what it can be."""
    if network_tier == "best" and kind.fabric == "none":
        return f"{kind.name} has no fabric: network_tier best is plain networking there"
    if network_tier != "best" and kind.fabric != "none" and nodes > 1 and kind.fabric != "tpu-ici":
        return f"{kind.name} has a fabric ({kind.fabric}) that is not used: network_tier best uses it"
    return ""
