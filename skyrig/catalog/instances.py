"""Instance types of the clouds: what a node of a type has."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from skyrig.catalog import facts, refreshed, sources
from skyrig.errors import BadInput

_GRAVITON = re.compile(r"[a-z]+[0-9]+g[a-z]*\.")
"""AWS's families of machines with its own arm64 processors (m7g, c6g): their names have a g after the number."""


@frozen
class InstanceType:
    """One type. `accelerator` is SkyPilot's name of it ("" on a CPU type), `accelerator_count` per node (a share of one
    is a fraction), memory in GiB, `local_disks` the number of disks of the machine itself and the size of each in GB.

    `fabric` is the network that its accelerators reach each other by: none, efa, tcpx, tcpxo, rdma, infiniband,
    roce, tpu-ici. `facts` are what else its cloud says, under that cloud's names. `source` is where all of it is from.
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
    facts: Mapping[str, Any] = field(factory=dict)
    source: str = ""


def find(cloud: str, name: str) -> InstanceType:
    """The type `name` of `cloud`; BadInput, with the nearest that there is, where the catalog lacks it."""
    known = of_cloud(cloud)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"names are {cloud}'s own, for instance {next(iter(known), '')}"
        raise BadInput(f"{name or 'no type'}: not an instance type of {cloud}", hint=hint)
    return known[name]


def of_cloud(cloud: str) -> Mapping[str, InstanceType]:
    """All types of `cloud` by name: those of its own file, those that it told `catalog.refresh`, and CPU types that the
    prices alone know."""
    return _of_cloud(cloud, sources.state())


@functools.cache
def _of_cloud(cloud: str, state: sources.State) -> Mapping[str, InstanceType]:
    shipped, told = facts.of(cloud, "types").get("types", {}), refreshed.types(cloud)
    types = {name: _type(cloud, name, {**told.get(name, {}), **said}) for name, said in shipped.items()}
    types |= {name: _type(cloud, name, said) for name, said in told.items() if name not in shipped}
    for row in sources.rows(cloud):
        if row.instance_type not in types:
            types[row.instance_type] = InstanceType(
                cloud=cloud,
                name=row.instance_type,
                accelerator=row.accelerator,
                accelerator_count=row.accelerator_count,
                cpus=row.cpus,
                memory_gib=row.memory_gib,
                arch="arm64" if cloud == "aws" and _GRAVITON.match(row.instance_type) else "x86_64",
                source=row.source,
            )
    return types


def _type(cloud: str, name: str, said: Mapping[str, Any]) -> InstanceType:
    known = {key: value for key, value in said.items() if key != "local_disks_note"}
    disks = known.pop("local_disks", (0, 0))
    return InstanceType(cloud=cloud, name=name, local_disks=(disks[0], disks[1]), **known)
