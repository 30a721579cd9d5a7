"""What nodes of a type shall have and what the network between them shall carry: `data/CLOUD/bandwidth.json`.

There `figures` are bus bandwidths with their source and tolerance, `devices` the names of the facts of a type that
count its network devices, `ib` and `nvlinks` numbers by type, `left_out` what is not known or not believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType
from skyrig.preflight.asked import Devices, Expected

TESTS = ("all_reduce", "all_gather", "reduce_scatter")
"""Tests of nccl-tests, without `_perf`, that a figure can be of."""


_MOST_BYTES = 8 << 30
"""Largest message where nobody knows an accelerator's memory."""

_SHARE = 4
"""Into how many messages of the largest size the memory divides: nccl-tests keeps one three times."""


@frozen
class Expectation:
    """One figure: the bus bandwidth `busbw_gbs` (GB/s, 1e9 bytes) of a `test` with messages of `size` bytes, measured
    on `nodes` nodes. A share of `tolerance` may be missing; 0 where the source itself gives a least value."""

    nodes: int
    test: str
    size: int
    busbw_gbs: float
    tolerance: float
    source: str

    @property
    def least_gbs(self) -> float:
        """What is still as expected, in GB/s."""
        return self.busbw_gbs * (1 - self.tolerance)

    def of_bytes(self) -> Expected:
        """The same as a preflight is told it, in bytes a second."""
        return Expected(rate=self.busbw_gbs * 1e9, tolerance=self.tolerance, source=self.source)


def figures(cloud: str, instance_type: str) -> tuple[Expectation, ...]:
    """All that is known of a type; nothing where nothing is. A figure that its own file calls suspect is none."""
    rows = facts.of(cloud, "bandwidth").get("figures", ())
    return tuple(_read(row) for row in rows if instance_type in row["types"] and not row.get("suspect"))


def expected(
    cloud: str, instance_type: str, nodes: int, test: str = "all_reduce", size: int | None = None
) -> Expectation | None:
    """The figure for so many nodes, with the largest messages of which there is one; with `size`, bytes, the largest
    messages that are no larger. One node is compared with one alone, several with several. None: unknown."""
    found = [
        each
        for each in figures(cloud, instance_type)
        if each.test == test and (each.nodes == 1) == (nodes == 1) and (size is None or each.size <= size)
    ]
    return max(found, key=lambda each: (each.nodes <= nodes, each.size), default=None)


def largest(kind: InstanceType) -> int:
    """The largest message, in bytes, that can be measured on the accelerators of a type."""
    return int(kind.accelerator_memory_gib * (1 << 30)) // _SHARE or _MOST_BYTES


def shall_have(kind: InstanceType, *, fabric: bool = True) -> Devices:
    """What each node of a type has to have, as far as its cloud's catalog says it. Without `fabric` (network tier
    standard) the devices of its fabric are not asked for."""
    said = facts.of(kind.cloud, "bandwidth")
    counts: dict[str, int] = {}
    if fabric:
        counts = {what: _count(kind, name) for what, name in said.get("devices", {}).items()}
        counts |= {"ib": said["ib"][kind.name]} if kind.name in said.get("ib", {}) else {}
    return Devices(
        accelerator=kind.accelerator,
        count=int(kind.accelerator_count),
        nvlinks=said.get("nvlinks", {}).get(kind.name, 0),
        nics=counts.get("nics", 0),
        ib=counts.get("ib", 0),
        efa=counts.get("efa", 0),
    )


def _count(kind: InstanceType, fact: str) -> int:
    return int(kind.facts.get(fact, 0)) if kind.fabric != "none" else 0


def _read(row: Mapping[str, Any]) -> Expectation:
    return Expectation(
        nodes=row["nodes"],
        test=row["test"],
        size=row["size"],
        busbw_gbs=float(row["busbw"]),
        tolerance=float(row["tolerance"]),
        source=row["source"],
    )
