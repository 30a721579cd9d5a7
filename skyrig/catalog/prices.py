"""Prices of instance types by region: USD an hour and node, as of a date, from a named source."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

from attrs import frozen

FILE = Path(__file__).with_name("data") / "prices.csv"
ANYWHERE = "*"
"""Region of a price that holds in all regions of a cloud."""


@frozen
class Price:
    """One row of the table: what a type costs in a region, on demand and as spot (None: not sold so, or not known),
    and what the row says of the type. `as_of` is a date or a year."""

    cloud: str
    region: str
    instance_type: str
    accelerator: str
    accelerator_count: float
    cpus: float
    memory_gib: float
    on_demand: float | None
    spot: float | None
    as_of: str
    source: str


def rows(cloud: str) -> tuple[Price, ...]:
    """All rows of one cloud."""
    return _table().get(cloud, ())


def find(cloud: str, region: str, instance_type: str) -> Price | None:
    """The price of a type in a region; None where it is not known."""
    for row in rows(cloud):
        if row.instance_type == instance_type and row.region in (region, ANYWHERE):
            return row
    return None


def hourly(cloud: str, region: str, instance_type: str, *, spot: bool) -> float | None:
    """USD an hour of one node; None where it is not known."""
    price = find(cloud, region, instance_type)
    return None if price is None else price.spot if spot else price.on_demand


def read(file: Path) -> tuple[Price, ...]:
    """The rows of a price table."""
    with file.open(newline="", encoding="utf-8") as text:
        return tuple(_row(row) for row in csv.DictReader(text))


@functools.cache
def _table() -> dict[str, tuple[Price, ...]]:
    by_cloud: dict[str, list[Price]] = {}
    for row in read(FILE):
        by_cloud.setdefault(row.cloud, []).append(row)
    return {cloud: tuple(found) for cloud, found in by_cloud.items()}


def _row(row: dict[str, str]) -> Price:
    return Price(
        cloud=row["cloud"],
        region=row["region"],
        instance_type=row["instance_type"],
        accelerator=row["accelerator"],
        accelerator_count=_number(row["count"]) or 0,
        cpus=_number(row["vcpus"]) or 0,
        memory_gib=_number(row["memory_gib"]) or 0,
        on_demand=_number(row["on_demand_usd_hour"]),
        spot=_number(row["spot_usd_hour"]),
        as_of=row["as_of"],
        source=row["source"],
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
