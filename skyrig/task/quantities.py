"""Amounts as task files write them: cores, memory, disk sizes, times, ports. Each is read from a node and given in its
normal form, which equals SkyPilot's."""

from __future__ import annotations

import math
import re

from skyrig.cluster import ports as port_ranges
from skyrig.task.node import Node, text_or_number

SIZE = r"[0-9]+(?:[kmgtp][bi]|[KMGTP][BI]|[KMGTP][bi])?"
"""A size of a disk: a number of GiB, or one with a unit (all units are powers of 1024)."""

DEFAULT_DISK_GB = 256
"""Size of a disk where none is given, in GiB (SkyPilot 0.14.1); to ask for it is the same as not to ask."""

_UNITS = {"k": 2.0**-20, "m": 2.0**-10, "g": 1.0, "t": 2.0**10, "p": 2.0**20}
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60, "w": 7 * 24 * 60}
_SECONDS = {"s": 1, **{unit: 60 * minutes for unit, minutes in _MINUTES.items()}}


def cpus(node: Node) -> str:
    """Cores: `4`, `4+` (at least), `1.5`."""
    text = text_or_number(node)
    if not _positive(text.removesuffix("+")):
        raise node.wrong(f"{node.shown}: a number of cores is wanted, for instance 4 or 4+")
    return text


def memory(node: Node) -> str:
    """Memory in GiB: `16`, `16+`, `64GB` (then `64.0`), `4x` (times the cores). Units give a number with a point."""
    text = text_or_number(node)
    sign = text[-1:] if text[-1:] in ("+", "x") else ""
    amount = text.removesuffix(sign)
    if _positive(amount):
        return text
    unit = re.fullmatch(r"(.+?)([kmgtp])[bi]", amount.lower())
    if unit is None or not _positive(unit[1]):
        raise node.wrong(f"{node.shown}: an amount of memory is wanted, for instance 16, 16+ or 64GB")
    return f"{float(unit[1]) * _UNITS[unit[2]]}{sign}"


def disk_size(node: Node) -> int | None:
    """A disk in GiB: `500`, `1TB`. None for the default size, which counts as not given."""
    gb = size_gb(node)
    return None if gb == DEFAULT_DISK_GB else gb


def size_gb(node: Node) -> int:
    """A size in whole GiB, at least 1."""
    if isinstance(node.data, str):
        node.matching(SIZE, "a size, for instance 500, 500GB or 1TB,")
    amount = str(node.data if isinstance(node.data, str) else node.whole())
    digits = re.match(r"-?[0-9]+", amount)
    assert digits is not None
    unit = amount[digits.end() :].lower()[:1]
    gb = int(digits[0]) * _UNITS.get(unit, 1.0)
    if gb < 1 or gb != int(gb):
        raise node.wrong(f"{node.shown}: whole GiB are wanted, at least 1")
    return int(gb)


def minutes(node: Node) -> int:
    """A time in minutes: `10`, `10m`, `2h`, `1d`, `1w`."""
    if isinstance(node.data, int) and not isinstance(node.data, bool):
        return node.whole()
    return _time(node, _MINUTES)


def seconds(node: Node) -> int:
    """A time in seconds: `30`, `30s`, `5m`, `1h`."""
    if isinstance(node.data, int) and not isinstance(node.data, bool):
        return node.whole(0)
    return _time(node, _SECONDS)


def ports(node: Node) -> tuple[str, ...] | None:
    """Ports as sorted ranges, `8080` and `9000-9011`, from a number, texts with commas and ranges, or a list of those;
    None where there is none."""
    if node.is_null:
        return None
    found: set[int] = set()
    for each in node.items() if isinstance(node.data, list) else [node]:
        text = each.text() if isinstance(each.data, str) else str(each.whole())
        for word in filter(None, (word.strip() for word in text.split(","))):
            found |= set(_port_range(each, word))
    return port_ranges.ranges(found) or None


def least_cores(text: str | None) -> float:
    """The number of cores in the normal form, 0 where none is asked."""
    return float(text.removesuffix("+")) if text else 0.0


def seconds_of(text: str) -> int | None:
    """A time that is a text, in seconds; None where it is none."""
    return _amount(text, _SECONDS)


def _time(node: Node, units: dict[str, int]) -> int:
    found = _amount(node.text(), units)
    if found is None:
        raise node.wrong(f"{node.shown}: a time is wanted, for instance 10, 10m or 2h")
    return found


def _amount(text: str, units: dict[str, int]) -> int | None:
    match = re.fullmatch(rf"([0-9]+)([{''.join(units)}]?)", text.lower())
    return int(match[1]) * units.get(match[2], 1) if match else None


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _port_range(node: Node, word: str) -> range:
    try:
        return port_ranges.one_range(word)
    except ValueError as error:
        raise node.wrong(str(error)) from error
