"""The prices that count: the shipped ones, those that `catalog.refresh` got instead, and above both the user's own."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skyrig import places
from skyrig.catalog import facts, prices, refreshed
from skyrig.catalog import table as tables
from skyrig.catalog.market import Market, Reservation
from skyrig.catalog.prices import Price
from skyrig.catalog.table import ANYWHERE, Table
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.catalog.own import OwnPrice, OwnPrices

FILE = "SKYRIG_PRICES"
"""Variable with the file of the user's own prices; without it, `prices.yaml` in SKYRIG_HOME."""

State = tuple[str | None, ...]
"""Where the sources lie, as the environment has it, and how often they have changed in this process."""

_FORM = b"1"
"""Of what is made of the sources; a new one makes it anew."""

_written = 0


def table() -> Table:
    """All prices. BadInput where the file of the user's own is wrong."""
    return _table(state())


def market(missing: Mapping[str, str]) -> Market:
    """The market of all prices, of the clouds in `missing` (why each cannot be used from here, or "")."""
    mine = _own(state())
    return Market(table(), missing, () if mine is None else mine.reservations)


def reservation(cloud: str, id_: str) -> Reservation | None:
    """The user's own capacity of that id; None where nothing is said of it."""
    mine = _own(state())
    held = () if mine is None else mine.reservations
    return next((each for each in held if (each.cloud, each.id) == (cloud, id_)), None)


def rows(cloud: str) -> tuple[Price, ...]:
    """All rows of one cloud."""
    return table().rows(cloud)


def find(cloud: str, region: str, instance_type: str) -> Price | None:
    """The price of a type in a region; None where it is not known."""
    return table().find(cloud, region, instance_type)


def hourly(cloud: str, region: str, instance_type: str, *, spot: bool) -> float | None:
    """USD an hour of one node; None where it is not known."""
    price = find(cloud, region, instance_type)
    return None if price is None else price.spot if spot else price.on_demand


def state() -> State:
    """Which sources these are: what was read for one state holds as long as it is the same."""
    return (*map(os.environ.get, (FILE, refreshed.FOLDER, "SKYRIG_HOME", "SKYRIG_CACHE")), str(_written))


def forget() -> None:
    """Read everything anew when it is next asked for: a source has changed."""
    global _written
    _written += 1


def merged(shipped: Sequence[Price], fresh: Sequence[Price]) -> list[Price]:
    """Refreshed rows of one cloud, and the shipped ones of regions that were not refreshed: what a cloud no longer
    lists in a region that it was asked about is not had there."""
    asked = {row.region for row in fresh}
    if ANYWHERE in asked:
        return list(fresh)
    return [*fresh, *(row for row in shipped if row.region not in asked)]


def laid_over(rows: Sequence[Price], said: OwnPrices, kinds: Collection[str]) -> list[Price]:
    """Rows of one cloud with the user's discounts and, above them, own prices. `kinds` are types that are known beside
    those of the rows."""
    cheaper = [_discounted(row, said.discount(row.cloud, row.instance_type)) for row in rows]
    for mine in said.prices:
        cheaper = list(_with_own(cheaper, mine, kinds))
    return cheaper


def _discounted(row: Price, share: float) -> Price:
    """A row less a share of its list price. Spot prices are no list prices."""
    if not share or row.on_demand is None:
        return row
    return row._replace(on_demand=row.on_demand * (1 - share), source=f"{row.source}; less {share:.0%}, your discount")


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
    return row._replace(on_demand=on_demand, spot=spot, as_of=mine.as_of, source=mine.source)


def _blank(held: Sequence[Price], mine: OwnPrice) -> Price:
    """A row without a price for what an own price is of."""
    if held:
        return held[0]._replace(region=mine.region, on_demand=None, spot=None)
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
def _table(at: State) -> Table:
    fresh = [file for cloud in facts.clouds() if (file := refreshed.table(cloud)).exists()]
    mine = _own(at)
    if not fresh and mine is None:
        return prices.shipped()
    # What the rows depend on: refreshed tables are large, so by when they were written.
    parts = [_FORM, prices.FILE.read_bytes(), *(f"{file}:{file.stat().st_mtime_ns}".encode() for file in fresh)]
    own = _file()
    if own is not None:
        parts += [own.read_bytes(), str(own.stat().st_mtime_ns).encode()]
    rows = (row for each in facts.clouds() for row in _of_cloud(each, mine))
    found = tables.of_content(b"\0".join(parts), lambda: rows)
    for held, where in zip(mine.reservations, mine.places, strict=True) if mine is not None else ():
        if (held.cloud, held.instance_type) not in found.by_name and held.instance_type not in refreshed.types(
            held.cloud
        ):
            raise BadInput(f"{where}: {held.instance_type} is not an instance type of {held.cloud} that is known here")
    return found


def _of_cloud(cloud: str, mine: OwnPrices | None) -> list[Price]:
    listed = merged(prices.rows(cloud), refreshed.rows(cloud))
    kinds = facts.of(cloud, "types").get("types", {})
    return listed if mine is None else laid_over(listed, mine.of_cloud(cloud), kinds)


@functools.cache
def _own(at: State) -> OwnPrices | None:
    """What the user's own file says; None where there is none."""
    file = _file()
    if file is None:
        return None
    from skyrig.catalog import own  # YAML, and all that reads task files: only where there is such a file

    return own.read(file)


def _file() -> Path | None:
    """The file of the user's own prices; None where there is none. BadInput where SKYRIG_PRICES names a missing one."""
    named = os.environ.get(FILE)
    found = Path(named).expanduser() if named else places.home() / "prices.yaml"
    if found.exists():
        return found if found.stat().st_size else None  # an empty one, or /dev/null, says nothing
    if named:
        raise BadInput(f"{FILE}: no file {named}")
    return None
