"""What accelerators there are, and where they cost what: the table of `gpus`. Pure functions over types and prices."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

from skyrig.catalog import ages, facts, instances, sources, stock
from skyrig.catalog.instances import InstanceType
from skyrig.catalog.table import ANYWHERE, Quote
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
    known = sources.table().clouds
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


def picked(
    found: Iterable[Listed],
    clouds: Collection[str],
    *,
    gpus_only: bool,
    name_filter: str | None,
    region_filter: str | None,
    quantity_filter: float | None,
    require_price: bool,
    case_sensitive: bool,
) -> list[Listed]:
    """Those on `clouds` that SkyPilot's filters leave, the cheapest first. BadInput for a filter that is no regular
    expression."""
    name = _pattern(name_filter, 0 if case_sensitive else re.IGNORECASE)
    region = _pattern(region_filter, 0 if case_sensitive else re.IGNORECASE)
    makers, gpus = (facts.common("accelerators")[noun] for noun in ("accelerators", "gpus"))
    left = [
        each
        for each in found
        if each.kind.cloud in clouds
        and name.search(each.kind.accelerator)
        and region.search(each.region)
        and (quantity_filter is None or abs(each.kind.accelerator_count - quantity_filter) < 0.01)
        and (each.on_demand is not None or not require_price)
        and (not gpus_only or makers.get(each.kind.accelerator, gpus)[0] in gpus)
    ]
    return sorted(left, key=_dearness)


def _pattern(text: str | None, flags: int) -> re.Pattern[str]:
    try:
        return re.compile(text or "", flags)
    except re.error as error:
        raise BadInput(f"{text!r}: no regular expression: {error}") from None


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
    table, priced = sources.table(), set[str]()
    kinds = {name: kind for name, kind in instances.of_cloud(cloud).items() if kind.accelerator}
    for each in stock.of(table, cloud):
        if each.accelerator and not each.per_chip:
            priced.add(each.name)
            yield from (_listed(kinds[each.name], quote, each.chips) for quote in table.quotes(each.machine))
    for name, kind in kinds.items():
        if name not in priced and not name.endswith(" (per chip)"):
            yield Listed(kind, "", None, None, "", kind.source)


def _listed(kind: InstanceType, quote: Quote, times: float) -> Listed:
    on_demand = None if quote.on_demand is None else quote.on_demand * times
    spot = None if quote.spot is None else quote.spot * times
    return Listed(kind, quote.region, on_demand, spot, quote.as_of, quote.source)


def _require_region(region: str, clouds: Sequence[str]) -> None:
    table = sources.table()
    known = {each for cloud in clouds for each in table.regions.get(cloud, ())}
    if region in known or any(not table.regions.get(cloud) for cloud in clouds):
        return  # of a cloud with one price for all regions, nothing tells which there are
    near = did_you_mean(region, sorted(known))
    raise BadInput(f"{region}: no prices of {' or '.join(clouds)} are known there{near}")
