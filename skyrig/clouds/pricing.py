"""The contract of a cloud's prices: what it is asked for, and how its answers become rows of the price table.

Each cloud that can be asked has a module `pricing` with `missing()`, why it cannot be asked from here ("": it can), and
`fetch(regions, today)`, which asks it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from skyrig.catalog import facts, prices, refreshed
from skyrig.catalog.prices import Price
from skyrig.catalog.refreshed import Refreshed
from skyrig.cluster import clouds

_ROOM = "skyrig.clouds"

_PER_CHIP = " (per chip)"
"""End of the names of prices that are no machine's."""


class Pricing(Protocol):
    """A module that asks one cloud. Every call may raise NotUsable, with what to do about it."""

    def missing(self) -> str:
        """Why the cloud cannot be asked for prices from here, with the mending; "" where it can."""

    def fetch(self, regions: Sequence[str], today: str) -> Refreshed:
        """Prices of today in `regions`, in all that the cloud has for the user where none is named."""


def known() -> tuple[str, ...]:
    """Clouds that can be asked for prices."""
    return tuple(name for name in facts.clouds() if clouds.has(_ROOM, name, "pricing"))


def of(cloud: str) -> Pricing:
    """The module that asks a cloud."""
    module: Any = clouds.module(_ROOM, cloud, "pricing")
    found: Pricing = module
    return found


@frozen
class Seen:
    """A type as the cloud describes it; names and units as in `InstanceType`."""

    name: str
    cpus: float
    memory_gib: float
    accelerator: str = ""
    accelerator_count: float = 0
    accelerator_memory_gib: float = 0
    arch: str = "x86_64"
    local_disks: tuple[int, int] = (0, 0)


@frozen
class Gathered:
    """What a cloud has said so far. `cloud`, `today` and `source` are of every row."""

    cloud: str
    today: str
    source: str
    types: dict[str, Seen] = field(factory=dict)
    on_demand: dict[tuple[str, str], float] = field(factory=dict)
    spot: dict[tuple[str, str], float] = field(factory=dict)
    zones: dict[tuple[str, str], list[str]] = field(factory=dict)

    def describe(self, seen: Seen) -> None:
        """Take note of what a type has."""
        self.types.setdefault(seen.name, seen)

    def price(self, region: str, name: str, hourly: float, *, spot: bool = False) -> None:
        """Take note of a price in USD an hour; of several the lowest counts."""
        held = self.spot if spot else self.on_demand
        key = (region, name)
        if hourly > 0:
            held[key] = min(hourly, held.get(key, hourly))

    def offer(self, region: str, name: str, zones: Iterable[str]) -> None:
        """Take note that a region has a type, in these zones, the first one to be preferred."""
        self.zones.setdefault((region, name), []).extend(zones)

    def regions(self) -> set[str]:
        """Regions of which something is known."""
        return {region for region, _ in (*self.on_demand, *self.spot, *self.zones)}

    def answer(self, failed: Mapping[str, str] | None = None) -> Refreshed:
        """The rows: of each region that answered, what is priced there and known; what was known before of types that
        are offered there without a price, and of regions that were refreshed before and not now. `failed` are regions
        that did not answer, and why."""
        failed, earlier = failed or {}, refreshed.rows(self.cloud)
        asked = self.regions() - failed.keys()
        before = {(row.region, row.instance_type): row for row in (*prices.rows(self.cloud), *earlier)}
        known = {row.instance_type: row for row in before.values()}
        priced = sorted(key for key in {*self.on_demand, *self.spot} if key[0] in asked)
        rows = [row for key in priced for row in self._row(key, known)]
        told = {(row.region, row.instance_type) for row in rows}
        kept = [row for key, row in before.items() if key[0] in asked and key not in told and self._stays(key)]
        kept += [row for row in earlier if row.region not in asked]
        types = {name: _plain(seen, self.source) for name, seen in sorted(self.types.items())}
        known_types = {**refreshed.told(self.cloud), **types}
        return Refreshed((*rows, *kept), known_types, self._zones(asked), self.source, len(rows), failed)

    def _zones(self, asked: Collection[str]) -> dict[str, dict[str, Sequence[str]]]:
        """Zones by type and region: of the regions that answered now, and as they were of the others."""
        found: dict[str, dict[str, Sequence[str]]] = {}
        for name, by_region in refreshed.all_zones(self.cloud).items():
            if left := {region: zones for region, zones in by_region.items() if region not in asked}:
                found[name] = left
        for (region, name), listed in sorted(self.zones.items()):
            if region in asked and any(listed):
                found.setdefault(name, {})[region] = list(dict.fromkeys(listed))
        return found

    def _row(self, key: tuple[str, str], known: Mapping[str, Price]) -> Iterator[Price]:
        """The row of a price; none where nobody says what the type is."""
        region, name = key
        seen, like = self.types.get(name), known.get(name)
        said = facts.of(self.cloud, "types").get("types", {}).get(name, {})
        base = like or (None if seen is None and not said else _blank(self.cloud, name))
        if base is None:
            return
        if seen is not None:  # what the catalog says of a type stands above what the cloud says of it
            base = base._replace(
                accelerator=base.accelerator or seen.accelerator,
                accelerator_count=base.accelerator_count or seen.accelerator_count,
                cpus=base.cpus or seen.cpus,
                memory_gib=base.memory_gib or seen.memory_gib,
            )
        yield base._replace(
            region=region,
            accelerator=said.get("accelerator", base.accelerator),
            accelerator_count=said.get("accelerator_count", base.accelerator_count),
            cpus=said.get("cpus", base.cpus),
            memory_gib=said.get("memory_gib", base.memory_gib),
            on_demand=self.on_demand.get(key),
            spot=self.spot.get(key),
            as_of=self.today,
            source=self.source,
        )

    def _stays(self, key: tuple[str, str]) -> bool:
        """Whether a type of a region that answered is still there, although no price of it came."""
        return key in self.zones or key[1].endswith(_PER_CHIP)


def _blank(cloud: str, name: str) -> Price:
    return Price(cloud, "", name, "", 0, 0, 0, None, None, "", "")


def _plain(seen: Seen, source: str) -> dict[str, Any]:
    """A type as data files have it."""
    said: dict[str, Any] = {"cpus": seen.cpus, "memory_gib": seen.memory_gib, "arch": seen.arch, "source": source}
    if seen.accelerator:
        said |= {"accelerator": seen.accelerator, "accelerator_count": seen.accelerator_count}
        said |= {"accelerator_memory_gib": seen.accelerator_memory_gib}
    return said | ({"local_disks": list(seen.local_disks)} if seen.local_disks[0] else {})
