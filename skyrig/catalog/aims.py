"""What a choice aims at: the least money or the least time, over how long, with inputs that lie somewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from skyrig.catalog import egress, facts
from skyrig.catalog.instances import InstanceType

if TYPE_CHECKING:
    from skyrig.task.resources import Resources

MINIMIZE = ("cost", "time")
"""What may be aimed at."""

Hours = Callable[[InstanceType, "Resources"], float | None]
"""How many hours a task takes on nodes of a type that a candidate gets; None where that is not known."""


class Inputs(NamedTuple):
    """Data that the task reads once: where it lies and how much it is. `region` is "" where it is not known; then all
    of its cloud is near."""

    url: str
    gb: float
    region: str = ""

    @property
    def cloud(self) -> str:
        """The cloud that keeps them, "" where none of ours does."""
        kept: Mapping[str, str] = facts.common("urls")["kept_by"]
        return next((cloud for cloud, begins in kept.items() if re.match(begins, self.url)), "")

    def egress(self, cloud: str, region: str) -> float:
        """USD that it costs to bring them to a region of a cloud, once."""
        return self.gb * egress.per_gb(self.cloud, self.region, cloud, region) if self.cloud else 0.0


class Aim(NamedTuple):
    """`minimize` is one of MINIMIZE; `hours` an estimate, without which one hour is compared; `inputs` what must come
    to the nodes."""

    minimize: str = "cost"
    hours: Hours | None = None
    inputs: Inputs | None = None


def by_kind(hours: Mapping[str, float]) -> Hours:
    """An estimate that a table makes: hours by `ACCELERATOR:COUNT` or the name of a type, `default` for all others."""
    known = {name.lower(): float(each) for name, each in hours.items()}

    def of(kind: InstanceType, asked: Resources) -> float | None:
        names = [kind.name, f"{kind.accelerator}:{kind.accelerator_count:g}"]
        if kind.accelerator_count == 1:
            names.append(kind.accelerator)
        if asked.accelerator is not None:  # a TPU slice has a name of its own
            names.append(f"{asked.accelerator.name}:{asked.accelerator.count:g}")
        return next((known[name.lower()] for name in (*names, "default") if name.lower() in known), None)

    return of
