"""Instance types of the clouds: what a node of a type has."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from skyrig.catalog import refreshed, sized, slips, sources, stock
from skyrig.catalog.stock import Stock
from skyrig.catalog.table import Machine
from skyrig.cluster.clouds import registered
from skyrig.errors import BadInput


class InstanceType(NamedTuple):
    """One type. `accelerator` is SkyPilot's name of it ("" on a CPU type), `accelerator_count` per node (a share of one
    is a fraction), memory in GiB, `local_disks` the number of disks of the machine itself and the size of each in GB.

    `fabric` is the network that its accelerators reach each other by: none, efa, tcpx, tcpxo, rdma, infiniband,
    tpu-ici. `facts` are what else its cloud says, under that cloud's names. `source` is where all of it is from.
    """

    cloud: str
    name: str
    accelerator: str = ""
    accelerator_count: float = 0
    accelerator_memory_gib: float = 0
    cpus: float = 0
    memory_gib: float = 0
    arch: str = "x86_64"
    local_disks: tuple[int, int] = (0, 0)
    fabric: str = "none"
    facts: Mapping[str, Any] = MappingProxyType({})
    source: str = ""


def find(cloud: str, name: str) -> InstanceType:
    """The type `name` of `cloud`; BadInput, with the nearest that there is, where the catalog lacks it."""
    known = of_cloud(cloud)
    if name not in known and registered(cloud).is_sized and (size := sized.parse(name)) is not None:
        return InstanceType(cloud, name, size.accelerator, size.accelerators, 0, size.cpus, size.memory_gib)
    if name not in known:
        own = f"names are {cloud}'s own, for instance {next(iter(known), '')}"
        hint = slips.did_you_mean(name, known, own)
        raise BadInput(f"{name or 'no type'}: not an instance type of {cloud}", hint=hint)
    return known[name]


def of_cloud(cloud: str) -> Mapping[str, InstanceType]:
    """All types of `cloud` by name: those of its own file, those that it told `catalog.refresh`, and CPU types that the
    prices alone know."""
    return _of_cloud(cloud, sources.state())


@functools.cache
def _of_cloud(cloud: str, state: sources.State) -> Mapping[str, InstanceType]:
    types = {name: _type(cloud, name, said) for name, said in refreshed.types(cloud).items()}
    for machine in sources.table().machines.get(cloud, ()):
        if machine.name not in types:
            types[machine.name] = of_machine(machine)
    return types


def of_machine(machine: Machine) -> InstanceType:
    """The type that rows of a price table describe, as the catalog's own file has it where it knows the name."""
    listed = refreshed.types(machine.cloud)
    if machine.name in listed:
        return _type(machine.cloud, machine.name, listed[machine.name])
    return InstanceType(
        cloud=machine.cloud,
        name=machine.name,
        accelerator=machine.accelerator,
        accelerator_count=machine.accelerator_count,
        cpus=machine.cpus,
        memory_gib=machine.memory_gib,
        arch=stock.arch(machine.cloud, machine.name, machine.accelerator),
        source="the price table",
    )


def of_stock(kind: Stock) -> InstanceType:
    """The type that a market has."""
    if registered(kind.cloud).is_sized:
        amounts = (kind.accelerator, kind.accelerator_count, 0, kind.cpus, kind.memory_gib)
        return InstanceType(
            kind.cloud, kind.name, *amounts, kind.arch, fabric=kind.fabric, source="the nodes there are"
        )
    machine = kind.machine._replace(id=0, on_demand=None, spot=None)
    return _of_name(kind.cloud, kind.name, machine, sources.state())


@functools.lru_cache(maxsize=65536)
def _of_name(cloud: str, name: str, machine: Machine, state: sources.State) -> InstanceType:
    return of_machine(machine._replace(name=name))


def _type(cloud: str, name: str, said: Mapping[str, Any]) -> InstanceType:
    known = {key: value for key, value in said.items() if key != "local_disks_note"}
    disks = known.pop("local_disks", (0, 0))
    return InstanceType(cloud=cloud, name=name, local_disks=(disks[0], disks[1]), **known)
