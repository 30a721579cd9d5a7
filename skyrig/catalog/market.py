"""The market of one choice: which prices count, which clouds can be used, and what capacity is one's own already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from skyrig.catalog import prices
from skyrig.catalog.table import Table


class Reservation(NamedTuple):
    """Capacity that the user has: `nodes` machines of a type in a zone ("": any of the region) under the cloud's own
    `id`. `hourly` is what using one costs, in USD an hour and node, beside what is paid for it anyway."""

    cloud: str
    region: str
    zone: str
    instance_type: str
    id: str
    nodes: int
    hourly: float = 0.0


class Market(NamedTuple):
    """`missing` says by cloud why it cannot be used from here, "" where it can. A cloud that is not in `missing` has
    no place in the market at all. `whole`: what the table does not have does not exist. `homes` are the regions that
    the user's own credentials name, by cloud."""

    prices: Table
    missing: Mapping[str, str]
    reservations: tuple[Reservation, ...] = ()
    whole: bool = False
    homes: Mapping[str, str] = {}

    @property
    def usable(self) -> tuple[str, ...]:
        """The clouds that can be used."""
        return tuple(cloud for cloud, reason in self.missing.items() if not reason)


def shipped(missing: Mapping[str, str]) -> Market:
    """The market of the catalog's own prices."""
    return Market(prices.shipped(), missing)


def of_file(path: Path) -> Market:
    """The market of a price table alone, all of whose clouds can be used. BadInput where the file is no such table."""
    from skyrig.task.infra import known  # reads much, and few ask for a table of their own

    table = prices.of_file(path, known())
    return Market(table, dict.fromkeys(sorted(table.clouds), ""), whole=True)
