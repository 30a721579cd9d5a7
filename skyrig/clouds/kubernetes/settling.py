"""What is found out before the first pod is made, and stays in the stack's config: how the cluster's machines are told
apart, and which fabric they have."""

from __future__ import annotations

import json

from attrs import evolve

from skyrig.clouds.kubernetes import looking, machines, merging, podspec
from skyrig.clouds.kubernetes.machines import Machine as Seen
from skyrig.cluster.machine import Machine


def settled(machine: Machine) -> Machine:
    """`machine` with what its cluster says now, where its config does not say it yet."""
    asked = json.loads(machine.pods) if machine.pods else {}
    size = podspec.size_of(machine.instance_type)
    if "resource" in asked or (not size.accelerators and machine.network_tier != "best"):
        return machine
    there = looking.machines(machine.region, merging.tolerations(asked.get("config") or {}))
    found = chosen(there, size.accelerator, fabric=machine.network_tier == "best")
    return evolve(machine, pods=json.dumps({**asked, **found}, sort_keys=True, separators=(",", ":")))


def chosen(there: list[Seen], accelerator: str, *, fabric: bool) -> dict[str, object]:
    """What tells the machines that have an accelerator, and the fabric of most of them. "" where none is there now: a
    cluster that grows has none until pods ask for them."""
    fits = [each for each in there if each.accelerator.lower() == accelerator.lower()]
    with_fabric = [each for each in fits if each.fabric] if fabric else []
    among = with_fabric or fits
    labels = [each.select[0] for each in among]
    label = max(set(labels), key=labels.count) if labels else ""
    values = sorted({each.select[1] for each in among if each.select[0] == label})
    resource = next((each.resource for each in among), "")
    first = with_fabric[0] if with_fabric else None
    return {
        "resource": resource or (machines.resource_of(accelerator) if accelerator else ""),
        **({"select": {label: values}} if label else {}),
        **({"fabric": first.fabric, "devices": dict(first.devices)} if first is not None else {}),
    }
