"""Price tables in the form that a choice is made from: sqlite, machines apart from their prices by region.

A table is compiled once and kept in the cache under the hash of what it came from, so it opens in milliseconds however
large it is. Where the cache cannot be written the same lies in memory.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from skyrig import places

if TYPE_CHECKING:
    import sqlite3

    from skyrig.catalog.prices import Price

ANYWHERE = "*"
"""Region of a price that holds in all regions of a cloud."""

_FORM = 1
"""Of the compiled table; a new one makes all anew."""

_KEPT_S = 30 * 86400
"""How long compiled tables that no content leads to any more stay in the cache."""

_SCHEMA = """
CREATE TABLE machine(
    id INTEGER PRIMARY KEY, cloud TEXT, name TEXT, accelerator TEXT, count REAL, cpus REAL, memory REAL,
    on_demand REAL, spot REAL);
CREATE TABLE origin(id INTEGER PRIMARY KEY, as_of TEXT, source TEXT);
CREATE TABLE price(id INTEGER PRIMARY KEY, machine INTEGER, region TEXT, on_demand REAL, spot REAL, origin INTEGER);
CREATE TABLE region(cloud TEXT, name TEXT);
"""
_INDEXES = """
CREATE INDEX of_machine ON price(machine, region);
CREATE INDEX of_name ON machine(cloud, name);
UPDATE machine SET
    on_demand = (SELECT min(on_demand) FROM price WHERE machine = machine.id),
    spot = (SELECT min(spot) FROM price WHERE machine = machine.id);
INSERT INTO region SELECT DISTINCT cloud, region FROM price JOIN machine ON machine.id = price.machine;
"""

_QUOTES = """
SELECT region, on_demand, spot, as_of, source FROM price JOIN origin ON origin.id = price.origin
WHERE machine = ?{} ORDER BY price.id
"""


class Machine(NamedTuple):
    """A type as price rows describe it; `on_demand` and `spot` are its lowest prices anywhere, in USD an hour and node,
    None where there is none. Numbers that no row gives are 0."""

    id: int
    cloud: str
    name: str
    accelerator: str
    accelerator_count: float
    cpus: float
    memory_gib: float
    on_demand: float | None
    spot: float | None


class Quote(NamedTuple):
    """What a machine costs in a region; `as_of` and `source` are of its row."""

    region: str
    on_demand: float | None
    spot: float | None
    as_of: str
    source: str


class Table:
    """A price table. It never changes."""

    def __init__(self, rows: sqlite3.Connection) -> None:
        self._rows = rows

    @functools.cached_property
    def machines(self) -> Mapping[str, tuple[Machine, ...]]:
        """All machines by cloud, in the order of the source."""
        found: dict[str, list[Machine]] = {}
        for row in self._rows.execute("SELECT * FROM machine ORDER BY id"):
            found.setdefault(row[1], []).append(Machine(*row))
        return {cloud: tuple(each) for cloud, each in found.items()}

    @functools.cached_property
    def by_name(self) -> Mapping[tuple[str, str], tuple[Machine, ...]]:
        """Machines by cloud and name; several where rows of one name describe it differently."""
        found: dict[tuple[str, str], tuple[Machine, ...]] = {}
        for each in (each for machines in self.machines.values() for each in machines):
            found[each.cloud, each.name] = (*found.get((each.cloud, each.name), ()), each)
        return found

    @functools.cached_property
    def regions(self) -> Mapping[str, tuple[str, ...]]:
        """Regions with a price by cloud, sorted, without "*"."""
        found: dict[str, list[str]] = {}
        for cloud, name in self._rows.execute(
            "SELECT cloud, name FROM region WHERE name <> ? ORDER BY 1, 2", (ANYWHERE,)
        ):
            found.setdefault(cloud, []).append(name)
        return {cloud: tuple(each) for cloud, each in found.items()}

    @functools.cached_property
    def anywhere(self) -> frozenset[str]:
        """Clouds that have prices which hold in all of their regions."""
        return frozenset(row[0] for row in self._rows.execute("SELECT cloud FROM region WHERE name = ?", (ANYWHERE,)))

    @property
    def clouds(self) -> tuple[str, ...]:
        """Clouds with a price."""
        return tuple(self.machines)

    def quotes(self, machine: Machine, region: str | None = None) -> list[Quote]:
        """All prices of a machine, or those that hold in one region, in the order of the source."""
        there, values = ("", ()) if region is None else (" AND region IN (?, ?)", (region, ANYWHERE))
        return [Quote(*row) for row in self._rows.execute(_QUOTES.format(there), (machine.id, *values))]

    def rows(self, cloud: str) -> tuple[Price, ...]:
        """All rows of one cloud, machine by machine."""
        return tuple(price(each, quote) for each in self.machines.get(cloud, ()) for quote in self.quotes(each))

    def find(self, cloud: str, region: str, instance_type: str) -> Price | None:
        """The price of a type in a region; None where it is not known."""
        for each in self.by_name.get((cloud, instance_type), ()):
            for quote in self.quotes(each, region):
                return price(each, quote)
        return None


def price(machine: Machine, quote: Quote) -> Price:
    """The row that a machine and one of its prices came from."""
    from skyrig.catalog.prices import Price

    return Price(
        machine.cloud, quote.region, machine.name, machine.accelerator, machine.accelerator_count, machine.cpus,
        machine.memory_gib, quote.on_demand, quote.spot, quote.as_of, quote.source,
    )  # fmt: skip


def of_rows(rows: Iterable[Price]) -> Table:
    """A table of these rows, in memory."""
    return Table(_compiled(rows))


def of_content(content: bytes, rows: Callable[[], Iterable[Price]]) -> Table:
    """The table that `rows` makes of `content`: out of the cache where it was made before. `content` is whatever the
    rows depend on; files of several sources may be joined."""
    import hashlib

    file = places.cache() / "catalog" / f"prices-{_FORM}-{hashlib.sha256(content).hexdigest()[:32]}.sqlite"
    opened = _opened(file)
    if opened is None:
        opened = _compiled(rows())
        _keep(opened, file)
    return Table(opened)


def _opened(file: Path) -> sqlite3.Connection | None:
    import sqlite3

    try:
        if not file.exists():
            return None
        opened = sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        opened.execute("SELECT count(*) FROM region").fetchone()
    except (OSError, sqlite3.Error):  # not what was written: made again
        return None
    return opened


def _compiled(rows: Iterable[Price]) -> sqlite3.Connection:
    import sqlite3

    made = sqlite3.connect(":memory:", check_same_thread=False)
    made.executescript(_SCHEMA)
    machines: dict[tuple[object, ...], int] = {}
    origins: dict[tuple[object, ...], int] = {}
    prices = []
    for row in rows:
        machine = (row.cloud, row.instance_type, row.accelerator, row.accelerator_count, row.cpus, row.memory_gib)
        prices.append(
            (
                machines.setdefault(machine, len(machines) + 1),
                row.region,
                row.on_demand,
                row.spot,
                origins.setdefault((row.as_of, row.source), len(origins) + 1),
            )
        )
    made.executemany(
        "INSERT INTO machine VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)", ((key, *each) for each, key in machines.items())
    )
    made.executemany("INSERT INTO origin VALUES (?, ?, ?)", ((key, *each) for each, key in origins.items()))
    made.executemany("INSERT INTO price(machine, region, on_demand, spot, origin) VALUES (?, ?, ?, ?, ?)", prices)
    made.executescript(_INDEXES)
    made.commit()
    return made


def _keep(table: sqlite3.Connection, file: Path) -> None:
    """Write a compiled table into the cache, whole or not at all; where that cannot be, there is none next time."""
    import sqlite3

    part = file.with_name(f"{file.name}.{os.getpid()}-{time.monotonic_ns()}")
    try:
        places.made(file.parent)
        table.execute("VACUUM INTO ?", (str(part),))
        part.replace(file)
        _sweep(file.parent)
    except (OSError, sqlite3.Error):
        with contextlib.suppress(OSError):
            part.unlink()


def _sweep(folder: Path) -> None:
    for old in folder.glob("prices-*.sqlite*"):
        if time.time() - old.stat().st_mtime > _KEPT_S:
            old.unlink(missing_ok=True)
