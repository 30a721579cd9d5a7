"""What clouds have: the machines of a price table with what the catalog's own files say of their types."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from skyrig.catalog import facts, refreshed
from skyrig.catalog.table import Machine, Table


class Stock(NamedTuple):
    """A type that can be rented. A price of `machine` holds for `chips` of what it is paid by: 1 but for TPU slices,
    whose chips have the price. `hosts` are the nodes that are had only together; `per_chip` marks what is no machine
    at all. 0 and "" where something is not known; `local_disk_gb` is None then."""

    machine: Machine
    name: str
    accelerator: str
    accelerator_count: float
    cpus: float
    memory_gib: float
    arch: str = "x86_64"
    fabric: str = "none"
    local_disk_gb: float | None = None
    chips: float = 1
    hosts: int = 1
    per_chip: bool = False

    @property
    def cloud(self) -> str:
        """The cloud that has it."""
        return self.machine.cloud

    def least(self, *, spot: bool) -> float | None:
        """Its lowest price anywhere, in USD an hour and node; None where it is not sold so."""
        price = self.machine.spot if spot else self.machine.on_demand
        return None if price is None else price * self.chips


@functools.lru_cache(maxsize=64)
def of(table: Table, cloud: str) -> tuple[Stock, ...]:
    """All types of a cloud that have a price in the table."""
    listed = refreshed.types(cloud)
    slices: dict[str, list[str]] = {}
    for name, said in listed.items():
        if "priced_as" in said.get("facts", {}):
            slices.setdefault(said["facts"]["priced_as"], []).append(name)
    found = []
    for machine in table.machines.get(cloud, ()):
        found += [_described(machine, name, listed[name]) for name in slices.get(machine.name, ())]
        one = _described(machine, machine.name, listed.get(machine.name, {}))
        found.append(one._replace(per_chip=machine.name.endswith("(per chip)")))
    return tuple(found)


@functools.lru_cache(maxsize=64)
def by_accelerator(table: Table, cloud: str) -> Mapping[str, tuple[Stock, ...]]:
    """The same by the accelerator in lower case; TPU slices also by their own name, `tpu-` before it."""
    found: dict[str, list[Stock]] = {}
    for each in of(table, cloud):
        found.setdefault(each.accelerator.lower(), []).append(each)
        if each.fabric == "tpu-ici":
            found.setdefault(f"tpu-{each.name}".lower(), []).append(each)
    return {name: tuple(each) for name, each in found.items()}


@functools.lru_cache(maxsize=64)
def names(table: Table, cloud: str) -> tuple[str, ...]:
    """Accelerators of a cloud, as the table writes them."""
    return tuple(sorted({each.accelerator for each in of(table, cloud) if each.accelerator}))


def unpriced(cloud: str, name: str) -> Stock | None:
    """A type that the catalog's own files know; None where they do not."""
    listed = refreshed.types(cloud)
    return _described(Machine(0, cloud, name, "", 0, 0, 0, None, None), name, listed[name]) if name in listed else None


def _described(machine: Machine, name: str, said: Mapping[str, Any]) -> Stock:
    own = name == machine.name  # of a slice, the row tells the price alone
    disks = said.get("local_disks")
    chips = 1 if own else said["accelerator_count"]
    return Stock(
        machine=machine,
        name=name,
        accelerator=(machine.accelerator if own else "") or said.get("accelerator", ""),
        accelerator_count=(machine.accelerator_count if own else 0) or said.get("accelerator_count", 0),
        cpus=(machine.cpus if own else 0) or said.get("cpus", 0),
        memory_gib=(machine.memory_gib if own else 0) or said.get("memory_gib", 0),
        arch=said.get("arch") or arch(machine.cloud, name, machine.accelerator),
        fabric=said.get("fabric", "none"),
        local_disk_gb=float(disks[0] * disks[1]) if disks else 0.0 if said else None,
        chips=chips,
        hosts=said.get("facts", {}).get("slice_hosts", 1),
    )


def arch(cloud: str, name: str, accelerator: str = "") -> str:
    """The processors of a type that no file of facts describes."""
    import re

    if accelerator in facts.common("accelerators")["arm64"]:
        return "arm64"
    named = facts.common("accelerators")["arm64_types"].get(cloud)
    return "arm64" if named and re.match(named, name) else "x86_64"
