"""What can be rented for what a task asks for: offers out of the price table, the cheapest first. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from skyrig.catalog import instances, sources
from skyrig.catalog.instances import InstanceType
from skyrig.task.resources import Resources

_DEFAULT_CORES = "8+"
"""Cores of a CPU node where neither cores nor memory are asked for (SkyPilot 0.14.1)."""


@frozen
class Offer:
    """One type in one region; `hourly` is USD an hour and node, None where it is not known. `zone` is "" where any of
    the region will do."""

    kind: InstanceType
    region: str
    zone: str
    spot: bool
    hourly: float | None
    asked: Resources

    @property
    def cloud(self) -> str:
        """The cloud that offers it."""
        return self.kind.cloud

    def __str__(self) -> str:
        spot = " spot" if self.spot else ""
        return f"{self.kind.name}{spot} in {self.cloud}/{self.zone or self.region}"


def ranked(asked: Resources, clouds: Iterable[str]) -> list[Offer]:
    """All that fits one candidate on these clouds, the cheapest first, those without a known price last. A type that
    is named with its region need not be in the price table."""
    wanted = [cloud for cloud in clouds if asked.infra.cloud in (None, cloud)]
    found = [offer for cloud in wanted for offer in _of_cloud(asked, cloud)]
    found += [offer for cloud in wanted for offer in _unpriced(asked, cloud, found)]
    return sorted(found, key=lambda offer: (offer.hourly is None, offer.hourly or 0.0, str(offer)))


def of_choice(candidates: Sequence[Resources], mode: str, clouds: Sequence[str]) -> list[Offer]:
    """All that fits any of several candidates: one after the other where they are `ordered`, else by price."""
    each = [ranked(asked, clouds) for asked in candidates]
    offers = [offer for found in each for offer in found]
    if mode == "ordered":
        return offers
    return sorted(offers, key=lambda offer: (offer.hourly is None, offer.hourly or 0.0))


def fits(kind: InstanceType, asked: Resources) -> bool:
    """Whether a type has what a candidate asks for of each node."""
    if asked.instance_type is not None and kind.name != asked.instance_type:
        return False
    if asked.accelerator is None:
        if asked.instance_type is None and (kind.accelerator or kind.arch != "x86_64"):
            return False
        cores = asked.cpus or (_DEFAULT_CORES if not asked.memory and asked.instance_type is None else None)
        return _enough(cores, kind.cpus) and _enough_memory(asked.memory, kind)
    name = asked.accelerator.name.lower()
    if kind.accelerator.lower() != name or kind.accelerator_count != asked.accelerator.count:
        return False
    return _enough(asked.cpus, kind.cpus) and _enough_memory(asked.memory, kind)


def _of_cloud(asked: Resources, cloud: str) -> list[Offer]:
    found = []
    spot = bool(asked.use_spot)
    for row in sources.rows(cloud):
        kind = instances.of_cloud(cloud).get(row.instance_type)
        price = row.spot if spot else row.on_demand
        if kind is None or price is None or asked.infra.region not in (None, row.region) or not fits(kind, asked):
            continue
        if asked.max_hourly_cost is None or price <= asked.max_hourly_cost:
            found.append(Offer(kind, row.region, asked.infra.zone or "", spot, price, asked))
    return found


def _unpriced(asked: Resources, cloud: str, priced: Sequence[Offer]) -> list[Offer]:
    region = asked.infra.region
    kind = instances.of_cloud(cloud).get(asked.instance_type or "")
    if kind is None or region is None or asked.max_hourly_cost is not None or not fits(kind, asked):
        return []
    if any((offer.kind, offer.region) == (kind, region) for offer in priced):
        return []
    return [Offer(kind, region, asked.infra.zone or "", bool(asked.use_spot), None, asked)]


def _enough(asked: str | None, there: float) -> bool:
    """Whether so much is what is asked for in the normal form: `4` exactly, `4+` at least."""
    if asked is None:
        return True
    amount = float(asked.rstrip("+"))
    return there >= amount if asked.endswith("+") else there == amount


def _enough_memory(asked: str | None, kind: InstanceType) -> bool:
    times = re.fullmatch(r"(.+)x", asked or "")
    if times:
        return kind.memory_gib >= float(times[1]) * kind.cpus
    return _enough(asked, kind.memory_gib)
