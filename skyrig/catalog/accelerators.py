"""What accelerators there are, and where they cost what: the table of `gpus`. Pure functions over types and prices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

from skyrig.catalog import ages, instances, sources
from skyrig.catalog.instances import InstanceType
from skyrig.catalog.prices import ANYWHERE, Price
from skyrig.errors import BadInput
from skyrig.task.infra import Infra
from skyrig.task.problems import did_you_mean


@frozen
class Listed:
    """A type with accelerators in one region ("": the catalog has no price of it, `*`: in all). Prices are USD an hour
    and node, None where it is not sold so or the price is not known; `as_of` and `source` are the price's."""

    kind: InstanceType
    region: str
    on_demand: float | None
    spot: float | None
    as_of: str
    source: str

    def to_json(self) -> dict[str, Any]:
        """The object of `gpus NAME --json`."""
        kind = self.kind
        return {
            "cloud": kind.cloud,
            "region": self.region,
            "instance_type": kind.name,
            "accelerator": kind.accelerator,
            "count": kind.accelerator_count,
            "accelerator_memory_gib": kind.accelerator_memory_gib or None,
            "cpus": kind.cpus or None,
            "memory_gib": kind.memory_gib or None,
            "fabric": kind.fabric,
            "hourly": self.on_demand,
            "spot_hourly": self.spot,
            "as_of": self.as_of,
            "age_days": ages.days(self.as_of),
            "source": self.source,
        }


@frozen
class Summary:
    """An accelerator on one cloud: the counts that are sold, the memory that a whole one has, and the cheapest node on
    demand and as spot (None: not sold so, or no price is known); `each` is the cheapest of all."""

    accelerator: str
    cloud: str
    counts: tuple[float, ...]
    memory_gib: tuple[float, ...]
    each: Listed
    on_demand: Listed | None
    spot: Listed | None

    def to_json(self) -> dict[str, Any]:
        """The object of `gpus --json`."""
        return {
            "accelerator": self.accelerator,
            "cloud": self.cloud,
            "counts": list(self.counts),
            "accelerator_memory_gib": list(self.memory_gib),
            "on_demand": self.on_demand.to_json() if self.on_demand else None,
            "spot": self.spot.to_json() if self.spot else None,
        }


def listed(place: Infra = Infra()) -> list[Listed]:  # noqa: B008  a frozen value
    """All types with accelerators at a place, in each region that has a price of them; types without any price come
    once. BadInput for a cloud or region that the catalog does not know."""
    known = sources.clouds()
    if place.cloud is not None and place.cloud not in known:
        raise BadInput(f"{place.cloud}: no prices of that cloud are known", hint="known: " + ", ".join(known))
    clouds = known if place.cloud is None else (place.cloud,)
    if place.region is not None:
        _require_region(place.region, clouds)
    found = [each for cloud in clouds for each in _of_cloud(cloud)]
    return [each for each in found if place.region is None or each.region in (place.region, ANYWHERE)]


def named(found: Sequence[Listed], name: str, count: float | None = None) -> list[Listed]:
    """Those whose accelerator is called `name`, whatever its case, else those that have it in their name; by count and
    price. BadInput, with the nearest that there is, where nothing is called so."""
    names = dict.fromkeys(each.kind.accelerator for each in found)
    folded = name.casefold()
    fitting = [each for each in names if each.casefold() == folded] or [
        each for each in names if folded in each.casefold()
    ]
    if not fitting:
        raise BadInput(
            f"{name}: no accelerator of the catalog is called that{did_you_mean(name, names)}",
            hint="`gpus` without a name shows all",
        )
    these = [each for each in found if each.kind.accelerator in fitting]
    return sorted(
        (each for each in these if count is None or abs(each.kind.accelerator_count - count) < 0.01),
        key=lambda each: (fitting.index(each.kind.accelerator), each.kind.accelerator_count, *_dearness(each)),
    )


def cheapest_regions(found: Iterable[Listed]) -> list[Listed]:
    """Of each type the region where it costs least on demand, with the least that it costs as spot there; in the order
    given."""
    best: dict[tuple[str, str], Listed] = {}
    for each in found:
        key = (each.kind.cloud, each.kind.name)
        if key not in best or _dearness(each) < _dearness(best[key]):
            best[key] = each
    return list(best.values())


def summaries(found: Iterable[Listed]) -> list[Summary]:
    """Each accelerator on each cloud, by name; the cheapest cloud of an accelerator first."""
    groups: dict[tuple[str, str], list[Listed]] = {}
    for each in found:
        groups.setdefault((each.kind.accelerator, each.kind.cloud), []).append(each)
    made = [_summary(*key, group) for key, group in groups.items()]
    return sorted(made, key=lambda each: (each.accelerator.casefold(), *_dearness(each.on_demand or each.each)))


def _summary(accelerator: str, cloud: str, group: Sequence[Listed]) -> Summary:
    counts = tuple(sorted({each.kind.accelerator_count for each in group}))
    on_demand = min((each for each in group if each.on_demand is not None), key=_dearness, default=None)
    spot = min((each for each in group if each.spot is not None), key=lambda each: each.spot or 0.0, default=None)
    whole = [each for each in group if each.kind.accelerator_count % 1 == 0] or group
    memory = tuple(sorted({each.kind.accelerator_memory_gib for each in whole if each.kind.accelerator_memory_gib}))
    return Summary(accelerator, cloud, counts, memory, on_demand or spot or group[0], on_demand, spot)


def _dearness(each: Listed) -> tuple[bool, float, float, str, bool, str]:
    """Key to sort by: what costs nothing that is known comes last; of equal regions those of the US first."""
    price, spot = each.on_demand, each.spot or float("inf")
    return (price is None, price or 0.0, spot, each.kind.name, not each.region.startswith("us"), each.region)


def _of_cloud(cloud: str) -> Iterator[Listed]:
    by_type: dict[str, list[Price]] = {}
    for row in sources.rows(cloud):
        by_type.setdefault(row.instance_type, []).append(row)
    kinds = {name: kind for name, kind in instances.of_cloud(cloud).items() if kind.accelerator}
    parts = {kind.facts.get("priced_as") for kind in kinds.values()}  # prices of one chip, which is no machine
    for name, kind in kinds.items():
        if name not in parts:
            rows = by_type.get(kind.facts.get("priced_as", name), [])
            times = kind.accelerator_count if "priced_as" in kind.facts else 1
            yield from (_listed(kind, row, times) for row in rows)
            if not rows:
                yield Listed(kind, "", None, None, "", kind.source)


def _listed(kind: InstanceType, row: Price, times: float) -> Listed:
    on_demand = None if row.on_demand is None else row.on_demand * times
    return Listed(kind, row.region, on_demand, None if row.spot is None else row.spot * times, row.as_of, row.source)


def _require_region(region: str, clouds: Sequence[str]) -> None:
    known = {row.region: row.cloud for cloud in clouds for row in sources.rows(cloud)}
    if region not in known and ANYWHERE not in known:
        near = did_you_mean(region, known)
        raise BadInput(f"{region}: no prices of {' or '.join(clouds)} are known there{near}")
