"""Prices of instance types by region: USD an hour and node, as of a date, from a named source."""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from skyrig.catalog import table
from skyrig.catalog.table import ANYWHERE, Table

if TYPE_CHECKING:
    import datetime

__all__ = ["ANYWHERE", "FILE", "Price", "age", "find", "hourly", "of_file", "read", "rows", "shipped"]

FILE = Path(__file__).with_name("data") / "prices.csv"
"""The table that comes with Skyrig."""


class Price(NamedTuple):
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


def read(file: Path) -> tuple[Price, ...]:
    """The rows of a price table; BadInput names the file and the line of what is wrong."""
    from skyrig.catalog import sheet  # reading text is for tables that are not compiled yet

    return sheet.rows(file, sheet.content(file))


def of_file(file: Path, clouds: Collection[str] = ()) -> Table:
    """The table in a file. It is read once; after that what was compiled from it is opened. BadInput names the file and
    the line of what is wrong, also of a cloud that is none of `clouds`, where those are given."""
    from skyrig.catalog import sheet

    content = sheet.content(file)
    return table.of_content(content, lambda: sheet.rows(file, content, clouds))


@functools.cache
def shipped() -> Table:
    """The table that comes with Skyrig."""
    return of_file(FILE)


def rows(cloud: str) -> tuple[Price, ...]:
    """All rows of one cloud."""
    return shipped().rows(cloud)


def find(cloud: str, region: str, instance_type: str) -> Price | None:
    """The price of a type in a region; None where it is not known."""
    return shipped().find(cloud, region, instance_type)


def hourly(cloud: str, region: str, instance_type: str, *, spot: bool) -> float | None:
    """USD an hour of one node; None where it is not known."""
    price = find(cloud, region, instance_type)
    return None if price is None else price.spot if spot else price.on_demand


def age(as_of: str, today: datetime.date) -> str:
    """How old a price is, for the reader: "4 months old", "of 2026" where only the year is known."""
    import re

    day = re.match(r"(\d{4})-(\d\d)-(\d\d)", as_of)
    if day is None:
        year = re.match(r"\d{4}(-\d\d)?", as_of)
        return f"of {year[0]}" if year else "of an unknown date"
    days = (today - today.replace(*map(int, day.groups()))).days
    for unit, length in (("year", 365), ("month", 30), ("day", 1)):
        if (count := days // length) > 0:
            return f"{count} {unit}{'' if count == 1 else 's'} old"
    return "of today"
