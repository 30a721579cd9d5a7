"""Shapes as the catalog and Oracle Cloud name them. Pure functions.

The catalog has each size of a flexible shape as a type of its own, SHAPE$_VCPUS_MEMORY (as SkyPilot's has); Oracle
Cloud is told the shape, its OCPUs, of which each is two vCPUs on x86, and its memory.
"""

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

_SIZED = re.compile(r"(?P<shape>.+)\$_(?P<cpus>\d+)_(?P<memory>\d+)")


@frozen
class Shape:
    """A shape, and the size that it is to have: OCPUs and GiB; 0 where the shape says it."""

    name: str
    ocpus: float = 0
    memory_gib: float = 0


def of_type(name: str) -> Shape:
    """The shape that a type of the catalog is."""
    sized = _SIZED.fullmatch(name)
    if sized is None:
        return Shape(name)
    return Shape(sized["shape"], int(sized["cpus"]) / 2, int(sized["memory"]))


def type_of(described: Mapping[str, Any]) -> str:
    """The type of the catalog that an instance is, as the API describes it."""
    name, said = str(described.get("shape", "")), described.get("shapeConfig") or {}
    if not name.endswith(".Flex"):
        return name
    return f"{name}$_{round(float(said.get('ocpus', 0)) * 2)}_{round(float(said.get('memoryInGBs', 0)))}"


def is_bare_metal(name: str) -> bool:
    """Whether a type is a whole machine."""
    return name.startswith("BM.")
