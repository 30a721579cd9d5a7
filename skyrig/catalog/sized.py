"""Types of clouds where a node is as large as the task asks for, out of a larger machine. Pure functions.

Such a type is called `4CPU--16GB` or `4CPU--16GB--H100:1`, as SkyPilot calls pods. The price table has the machines
that there are, each with what is free of it; a wish is cut out of one of them (skyrig/catalog/cutting.py).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from skyrig.catalog.stock import Stock

_NAME = re.compile(r"([0-9]+(?:\.[0-9]+)?)CPU--([0-9]+(?:\.[0-9]+)?)GB(?:--([A-Za-z0-9][A-Za-z0-9._-]*):([0-9]+))?")


class Size(NamedTuple):
    """What a node has: cores, GiB, and accelerators by name and number ("" and 0: none)."""

    cpus: float
    memory_gib: float
    accelerator: str = ""
    accelerators: int = 0


def name(size: Size) -> str:
    """The name of the type of that size."""
    plain = f"{size.cpus:g}CPU--{size.memory_gib:g}GB"
    return f"{plain}--{size.accelerator}:{size.accelerators}" if size.accelerators else plain


def parse(text: str) -> Size | None:
    """The size that a type of that name has; None where it is no such name."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    cpus, memory, accelerator, count = match.groups()
    return Size(float(cpus), float(memory), accelerator or "", int(count or 0))


def of_size(size: Size, kind: Stock) -> Stock:
    """A type of that size on a machine."""
    return kind._replace(
        name=name(size),
        accelerator=size.accelerator,
        accelerator_count=size.accelerators,
        cpus=size.cpus,
        memory_gib=size.memory_gib,
    )
