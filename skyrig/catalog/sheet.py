"""Price tables as text: CSV with one row a type and region, which people can read, compare and send along."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Collection
from pathlib import Path

from skyrig.catalog.prices import Price
from skyrig.errors import BadInput

COLUMNS = (
    "cloud", "region", "instance_type", "accelerator", "count", "vcpus", "memory_gib", "on_demand_usd_hour",
    "spot_usd_hour", "as_of", "source",
)  # fmt: skip
"""All columns, in any order."""

_FILLED = ("cloud", "region", "instance_type")


def content(file: Path) -> bytes:
    """What a table's file holds; BadInput where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}", hint="a price table is a CSV file") from error


def rows(file: Path, content: bytes, clouds: Collection[str] = ()) -> tuple[Price, ...]:
    """The rows of a table; BadInput names the file and the line of what is wrong, also of a cloud that is none of
    `clouds`, where those are given."""
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = _header(file, next(lines, []))
        found = tuple(_row(f"{file}:{lines.line_num}", header, line, clouds) for line in lines if line)
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: is no text in UTF-8", hint="a price table is a CSV file") from error
    except csv.Error as error:
        raise BadInput(f"{file}:{lines.line_num}: {error}", hint="a price table is a CSV file") from error
    if not found:
        raise BadInput(f"{file}: has no prices", hint="one row a type and region is wanted")
    return found


def _header(file: Path, names: list[str]) -> list[str]:
    missing = [name for name in COLUMNS if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    twice = sorted({name for name in names if names.count(name) > 1})
    for what, said in (("is empty", [] if names else [""]), ("lacks the column", missing),
                       ("has an unknown column", unknown), ("has twice the column", twice)):  # fmt: skip
        if said:
            raise BadInput(f"{file}:1: {what} {', '.join(said)}".rstrip(), hint=f"columns are {', '.join(COLUMNS)}")
    return names


def _row(where: str, header: list[str], line: list[str], clouds: Collection[str]) -> Price:
    if len(line) != len(header):
        raise BadInput(
            f"{where}: {len(line)} fields, the header has {len(header)}", hint="texts with commas are quoted"
        )
    said = {name: text.strip() for name, text in zip(header, line, strict=True)}
    empty = [name for name in _FILLED if not said[name]]
    if empty:
        raise BadInput(f"{where}: {', '.join(empty)} is empty", hint="a row is of one type in one region")
    return Price(
        cloud=_cloud(where, said["cloud"], clouds),
        region=said["region"],
        instance_type=said["instance_type"],
        accelerator=said["accelerator"],
        accelerator_count=_number(where, said, "count") or 0,
        cpus=_number(where, said, "vcpus") or 0,
        memory_gib=_number(where, said, "memory_gib") or 0,
        on_demand=_number(where, said, "on_demand_usd_hour"),
        spot=_number(where, said, "spot_usd_hour"),
        as_of=said["as_of"],
        source=said["source"],
    )


def _cloud(where: str, name: str, clouds: Collection[str]) -> str:
    if clouds and name not in clouds:
        near = difflib.get_close_matches(name.lower(), clouds, n=1)
        raise BadInput(f"{where}: {name!r} is no cloud", hint=f"did you mean {near[0]}?" if near else ", ".join(clouds))
    return name


def _number(where: str, said: dict[str, str], name: str) -> float | None:
    text = said[name]
    try:
        number = float(text) if text else None
    except ValueError:
        number = math.nan
    if number is not None and not 0 <= number < math.inf:
        raise BadInput(f"{where}: {name}: {text!r} is no amount", hint="a number, or nothing where it is not known")
    return number
