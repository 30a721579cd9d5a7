"""Prices that `catalog.refresh` got from the clouds themselves, in the user's cache.

`CLOUD.csv` has the columns of the shipped table. `CLOUD.json` has `types` as the cloud describes them, in the form of
`data/CLOUD/types.json`, which stands above them; `CLOUD.zones.json` has zones by type and region, the cheapest for spot
first.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skyrig import places
from skyrig.catalog import facts, prices
from skyrig.catalog.prices import Price

FOLDER = "SKYRIG_CATALOG"
"""Variable with the folder of refreshed prices; without it, `catalog` in SKYRIG_CACHE."""


class Refreshed(NamedTuple):
    """What one cloud answered: rows, of which the first `fresh` are of today and the others were known before; types as
    the cloud describes them; zones by type and region; why regions in `failed` did not answer."""

    rows: tuple[Price, ...]
    types: Mapping[str, Mapping[str, Any]]
    zones: Mapping[str, Mapping[str, Sequence[str]]]
    source: str = ""
    fresh: int = 0
    failed: Mapping[str, str] = {}


def folder() -> Path:
    """Where refreshed prices lie."""
    given = os.environ.get(FOLDER)
    return Path(given).expanduser().absolute() if given else places.cache() / "catalog"


def table(cloud: str) -> Path:
    """The refreshed price table of a cloud; perhaps not there."""
    return folder() / f"{cloud}.csv"


def rows(cloud: str) -> tuple[Price, ...]:
    """The refreshed rows of a cloud; none where it was never refreshed."""
    file = table(cloud)
    return prices.read(file) if file.exists() else ()


def types(cloud: str) -> Mapping[str, Any]:
    """Types by name, in the form of `data/CLOUD/types.json`: what is said there, and what the cloud itself says of what
    is not."""
    return _types(cloud, (os.environ.get(FOLDER), os.environ.get("SKYRIG_CACHE")))


def zones(cloud: str, region: str, instance_type: str) -> tuple[str, ...]:
    """Zones of a region that had a type when it was asked, the cheapest for spot first; none where that is not
    known."""
    return tuple(all_zones(cloud).get(instance_type, {}).get(region, ()))


def all_zones(cloud: str) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """The same of all types, by type and region."""
    said: dict[str, dict[str, list[str]]] = _said(f"{cloud}.zones.json")
    return said


def told(cloud: str) -> Mapping[str, Mapping[str, Any]]:
    """Types by name as the cloud itself described them."""
    said: dict[str, dict[str, Any]] = _said(f"{cloud}.json").get("types", {})
    return said


def write(cloud: str, found: Refreshed, made: str) -> None:
    """Keep what a cloud answered, instead of what it answered before."""
    said = {"made": made, "source": found.source, "types": dict(found.types)}
    places.made(folder())
    # The types first: a row whose type is not known yet would be worse than a type without a row.
    _replace(folder() / f"{cloud}.json", json.dumps(said, separators=(",", ":")))
    _replace(folder() / f"{cloud}.zones.json", json.dumps(dict(found.zones), separators=(",", ":")))
    _replace(table(cloud), _text(found.rows))
    _types.cache_clear()


def _text(rows: Sequence[Price]) -> str:
    import csv
    import io

    from skyrig.catalog import sheet

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(sheet.COLUMNS)
    for row in rows:
        numbers = (row.accelerator_count or None, row.cpus, row.memory_gib, row.on_demand, row.spot)
        place = (row.cloud, row.region, row.instance_type, row.accelerator)
        writer.writerow([*place, *map(_number, numbers), row.as_of, row.source])
    return out.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _replace(file: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one."""
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


@functools.cache
def _types(cloud: str, where: tuple[str | None, ...]) -> Mapping[str, Any]:
    listed: Mapping[str, Any] = facts.of(cloud, "types").get("types", {})
    said = told(cloud)
    return {name: {**said.get(name, {}), **listed.get(name, {})} for name in {**listed, **said}} if said else listed


def _said(name: str) -> Any:
    file = folder() / name
    return json.loads(file.read_bytes()) if file.exists() else {}
