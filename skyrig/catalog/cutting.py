"""How large a node becomes where it is cut out of a larger machine, by what a task says and does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyrig.catalog import sized
from skyrig.catalog.sized import Size
from skyrig.catalog.stock import Stock

if TYPE_CHECKING:
    from skyrig.catalog.wishes import Wish

CORES_BESIDE_ONE = 4.0
"""Cores that a node gets for each of its accelerators where the task says nothing of cores."""

CORES = 2.0
"""Cores of a node without accelerators where the task says nothing of cores."""

GIB_A_CORE = 4.0
"""Memory in GiB for each core where the task says nothing of memory."""


def cut(wish: Wish, kind: Stock) -> Stock:
    """What a wish gets of a machine: a type of its own size, or the machine as it is where that has not enough."""
    size = _asked(wish, kind)
    lacks = size.cpus > kind.cpus or size.memory_gib > kind.memory_gib or size.accelerators > kind.accelerator_count
    if lacks or (size.accelerators and size.accelerator.lower() != kind.accelerator.lower()):
        return kind
    return sized.of_size(size, kind)


def _asked(wish: Wish, kind: Stock) -> Size:
    """How large a node is wanted, with what is not said filled in. A type that is named says all of it."""
    asked = wish.asked
    named = sized.parse(asked.instance_type) if asked.instance_type is not None else None
    if named is not None:
        return named
    count = -int(-asked.accelerator.count // 1) if asked.accelerator is not None else 0
    cpus = _amount(wish.cpus.get(kind.cloud, "")) or (CORES_BESIDE_ONE * count if count else CORES)
    times = float(wish.memory[:-1]) if wish.memory.endswith("x") else GIB_A_CORE
    memory = 0.0 if wish.memory.endswith("x") else _amount(wish.memory)
    return Size(cpus, memory or times * cpus, kind.accelerator if count else "", count)


def _amount(text: str) -> float:
    return float(text.rstrip("+")) if text else 0.0
