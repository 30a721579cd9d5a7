"""What a preflight has found: one verdict a node with its reasons, and what was measured; as a value, and as JSON."""

from __future__ import annotations

from typing import Any

import cattrs
from attrs import field, frozen

VERSION = 1

NOTE = "preflight.json"
"""Name of the newest report's file in a stack's records folder."""

OK, WARN, BAD = "ok", "warn", "bad"
_RANKS = {OK: 0, WARN: 1, BAD: 2}


@frozen
class NodeReport:
    """One node: `status` ok, warn or bad, `reasons` one clause each; `rate` is what it reached in its best pair, in
    bytes a second (None: it was not measured in one), `skew_s` by how much its clock is off those of most, at least;
    `devices` is what it has, in short, `transport` how its ranks reach others."""

    id: str
    status: str = OK
    reasons: tuple[str, ...] = ()
    rate: float | None = None
    skew_s: float = 0.0
    devices: str = ""
    transport: str = ""


@frozen
class PairRate:
    """What two nodes reached with each other, in bytes a second; `alone`: while no other pair was measured."""

    one: str
    other: str
    rate: float
    alone: bool = False


@frozen
class Measured:
    """An all-reduce over all nodes: bus bandwidth in bytes a second, the bytes that each reduced, the seconds that it
    took, and by what (nccl-tests, torch with nccl or gloo, tcp). `problem`: why there is none."""

    meter: str = ""
    rate: float = 0.0
    size: int = 0
    seconds: float = 0.0
    problem: str = ""

    @property
    def is_nccls(self) -> bool:
        """Whether it is NCCL that was measured: what is expected is said of nothing else."""
        return self.meter in ("nccl-tests", "torch nccl")


@frozen
class Report:
    """The whole. `at` in seconds since the epoch, `took_s` in seconds; `expected` is the least that was expected of the
    all-reduce, in bytes a second (0.0: nobody knows), by `source`. `cordoned` are the nodes that get no jobs any more
    because of it."""

    cluster: str
    nodes: tuple[NodeReport, ...]
    measured: Measured = field(factory=Measured)
    pairs: tuple[PairRate, ...] = ()
    expected: float = 0.0
    source: str = ""
    remarks: tuple[str, ...] = ()
    cordoned: tuple[str, ...] = ()
    at: float = 0.0
    took_s: float = 0.0
    job: int = 0
    version: int = VERSION

    @property
    def status(self) -> str:
        """The worst of its nodes', or warn where something else is to be said."""
        each = [node.status for node in self.nodes] + ([WARN] if self.remarks else [])
        return max(each, key=_RANKS.__getitem__, default=OK)

    @property
    def bad(self) -> tuple[str, ...]:
        """Ids of the bad nodes."""
        return tuple(node.id for node in self.nodes if node.status == BAD)

    def lines(self) -> list[str]:
        """What is to be said of it: one line a node that has something, then what is to be said of all."""
        said = [f"{node.id}: {node.status}: {'; '.join(node.reasons)}" for node in self.nodes if node.reasons]
        return [*said, *self.remarks]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data: dict[str, Any] = _CONVERTER.unstructure(self)
        return {**data, "status": self.status}


_CONVERTER = cattrs.Converter()


def from_json(data: Any) -> Report:
    """Read `to_json` back; fields of a newer version are passed over. ValueError where it is no report."""
    try:
        return _CONVERTER.structure(data, Report)
    except (cattrs.BaseValidationError, TypeError, KeyError) as error:
        raise ValueError(f"no report of a preflight: {error}") from error


def said(rate: float) -> str:
    """A rate for the reader."""
    if rate < 1:
        return "nothing"
    for unit, size in (("GB/s", 1e9), ("MB/s", 1e6)):
        if rate >= size:
            return f"{rate / size:.3g} {unit}" if rate < 1000 * size else f"{rate / size:.0f} {unit}"
    return f"{rate / 1e3:.0f} kB/s"
