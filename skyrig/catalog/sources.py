"""The prices that count: the shipped ones, those that `catalog.refresh` got instead, and above both the user's own."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from attrs import evolve

from skyrig.catalog import facts, own, prices, refreshed
from skyrig.catalog.market import Market
from skyrig.catalog.own import OwnPrice, OwnPrices
from skyrig.catalog.prices import ANYWHERE, Price
from skyrig.errors import BadInput

State = tuple[str | None, ...]
"""Where the sources lie, as the environment has it, and how often they have changed in this process."""

_written = 0


def clouds() -> tuple[str, ...]:
    """Clouds that the catalog has prices of."""
    return tuple(cloud for cloud in facts.clouds() if rows(cloud))


def rows(cloud: str) -> tuple[Price, ...]:
    """All rows of one cloud. BadInput where the file of the user's own prices is wrong."""
    return _rows(cloud, state())


def find(cloud: str, region: str, instance_type: str) -> Price | None:
    """The price of a type in a region; None where it is not known."""
    by_region = _by_type(cloud, state()).get(instance_type, {})
    return by_region.get(region) or by_region.get(ANYWHERE)


def hourly(cloud: str, region: str, instance_type: str, *, spot: bool) -> float | None:
    """USD an hour of one node; None where it is not known."""
    price = find(cloud, region, instance_type)
    return None if price is None else price.spot if spot else price.on_demand


def market(missing: Mapping[str, str]) -> Market:
    """The market of all prices that count, of the clouds in `missing` (why each cannot be used from here, or "")."""
    return Market({cloud: rows(cloud) for cloud in missing}, missing, _own(state()).reservations)


def state() -> State:
    """Which sources these are: what was read for one state holds as long as it is the same."""
    return (*map(os.environ.get, (own.FILE, refreshed.FOLDER, "SKYRIG_HOME", "SKYRIG_CACHE")), str(_written))


def forget() -> None:
    """Read everything anew when it is next asked for: a source has changed."""
    global _written
    _written += 1


def merged(shipped: Sequence[Price], fresh: Sequence[Price]) -> list[Price]:
    """Refreshed rows, and the shipped ones of regions that were not refreshed: what a cloud no longer lists in a
    region that it was asked about is not had there."""
    asked = {row.region for row in fresh}
    if ANYWHERE in asked:
        return list(fresh)
    return [*fresh, *(row for row in shipped if row.region not in asked)]


def laid_over(rows: Sequence[Price], said: OwnPrices, kinds: Collection[str]) -> list[Price]:
    """Rows of one cloud with the user's discounts and, above them, own prices. `kinds` are types that are known beside
    those of the rows."""
    if not rows and not said.prices:
        return []
    cheaper = [_discounted(row, said.discount(row.cloud, row.instance_type)) for row in rows]
    for mine in said.prices:
        cheaper = list(_with_own(cheaper, mine, kinds))
    return cheaper


def _discounted(row: Price, share: float) -> Price:
    """A row less a share of its list price. Spot prices are no list prices."""
    if not share or row.on_demand is None:
        return row
    return evolve(row, on_demand=row.on_demand * (1 - share), source=f"{row.source}; less {share:.0%}, your discount")


def _with_own(rows: Sequence[Price], mine: OwnPrice, kinds: Collection[str]) -> Iterator[Price]:
    """The rows with an own price in the place of that of its type and region, first where it had none."""
    held = [row for row in rows if row.instance_type == mine.instance_type]
    if not held and mine.instance_type not in kinds and not {"vcpus", "memory_gib"} <= mine.facts.keys():
        why = f"{mine.instance_type} is not an instance type of {mine.cloud} that is known here"
        raise BadInput(f"{mine.where}: {why}", hint="vcpus, memory_gib, accelerator and count say what it has")
    if not any(_is_of(row, mine) for row in held):
        yield _priced(_blank(held, mine), mine)
    for row in rows:
        yield _priced(row, mine) if _is_of(row, mine) else row


def _is_of(row: Price, mine: OwnPrice) -> bool:
    return row.instance_type == mine.instance_type and mine.region in (row.region, ANYWHERE)


def _priced(row: Price, mine: OwnPrice) -> Price:
    on_demand = row.on_demand if mine.on_demand is None else mine.on_demand
    spot = row.spot if mine.spot is None else mine.spot
    return evolve(row, on_demand=on_demand, spot=spot, as_of=mine.as_of, source=mine.source)


def _blank(held: Sequence[Price], mine: OwnPrice) -> Price:
    """A row without a price for what an own price is of."""
    if held:
        return evolve(held[0], region=mine.region, on_demand=None, spot=None)
    known = facts.of(mine.cloud, "types").get("types", {}).get(mine.instance_type, {})
    said = mine.facts
    return Price(
        cloud=mine.cloud,
        region=mine.region,
        instance_type=mine.instance_type,
        accelerator=said.get("accelerator", known.get("accelerator", "")),
        accelerator_count=said.get("count", known.get("accelerator_count", 0)),
        cpus=said.get("vcpus", known.get("cpus", 0)),
        memory_gib=said.get("memory_gib", known.get("memory_gib", 0)),
        on_demand=None,
        spot=None,
        as_of=mine.as_of,
        source=mine.source,
    )


@functools.cache
def _rows(cloud: str, at: State) -> tuple[Price, ...]:
    fresh, mine = refreshed.rows(cloud), _of_cloud(_own(at), cloud)
    shipped = prices.rows(cloud)
    if not fresh and mine == OwnPrices():
        return shipped
    kinds = facts.of(cloud, "types").get("types", {})
    return tuple(laid_over(merged(shipped, fresh), mine, kinds))


@functools.cache
def _by_type(cloud: str, at: State) -> Mapping[str, Mapping[str, Price]]:
    found: dict[str, dict[str, Price]] = {}
    for row in _rows(cloud, at):
        found.setdefault(row.instance_type, {}).setdefault(row.region, row)
    return found


@functools.cache
def _own(at: State) -> OwnPrices:
    file = own.file()
    return own.read(file) if file is not None else OwnPrices()


def _of_cloud(said: OwnPrices, cloud: str) -> OwnPrices:
    """What is said of one cloud, but for reservations."""
    listed = {name: share for name, share in said.discounts.items() if name.partition("/")[0] == cloud}
    return OwnPrices(tuple(_only(said.prices, cloud)), listed)


def _only(listed: Iterable[OwnPrice], cloud: str) -> Iterator[OwnPrice]:
    return (each for each in listed if each.cloud == cloud)
