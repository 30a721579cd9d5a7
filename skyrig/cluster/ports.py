"""Ports that a cluster opens, as sorted ranges: `8080`, `9000-9011`. Pure functions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

MOST = 65535
"""The highest port."""


def read(text: str) -> tuple[str, ...]:
    """Sorted ranges from a text with commas, `8000, 9000-9010`. ValueError names the word that is no port."""
    return ranges(number for word in text.split(",") if word.strip() for number in one_range(word.strip()))


def one_range(word: str) -> range:
    """The ports of `8080` or `9000-9010`; ValueError, one clause, where it is neither."""
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", word)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= MOST:
        raise ValueError(f"{word!r}: a port or a range of ports is wanted, for instance 8080 or 9000-9010")
    return range(first, last + 1)


def ranges(found: Iterable[int]) -> tuple[str, ...]:
    """Ports, in any order and often, as sorted ranges."""
    made = []
    for _, group in itertools.groupby(enumerate(sorted(set(found))), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        made.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return tuple(made)


def numbers(given: Iterable[str]) -> list[int]:
    """The single ports of ranges, in their order."""
    return [number for each in given for number in one_range(each)]


def union(*several: Iterable[str]) -> tuple[str, ...]:
    """What any of several ranges hold."""
    return ranges(number for each in several for number in numbers(each))


def missing(wanted: Iterable[str], there: Iterable[str]) -> tuple[str, ...]:
    """What of `wanted` is not `there`."""
    return ranges(set(numbers(wanted)) - set(numbers(there)))
