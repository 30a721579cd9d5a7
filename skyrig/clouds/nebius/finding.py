"""Where a thing is that an engine was making when it was killed: names are made from the stack, never by chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.clouds.nebius.door import Door
from skyrig.clouds.nebius.things import TYPES
from skyrig.errors import SkyrigError

IN_THE_STATE_ALONE = ("pulumi-python:dynamic/skyrig:NebiusPower",)
"""Types that are nothing beside the machines that they tell of: making one again looks at these anew."""


def find(door: Door, kind: str, inputs: Mapping[str, Any]) -> str | None:
    """The id under which the engine knows the thing of type `kind` that was to be made from `inputs`; None where there
    is none. SkyrigError for a type that is not known here, and where another thing has its name."""
    if kind in IN_THE_STATE_ALONE:
        return None
    if kind not in TYPES:
        raise SkyrigError(f"nebius: nobody knows how to look for a {kind}")
    there = door.listed(TYPES[kind], str(inputs["parentId"]))
    found = next((each for each in there if each.metadata.name == inputs["name"]), None)
    if found is None:
        return None
    wanted = dict(inputs.get("labels") or {})
    if not wanted.items() <= dict(found.metadata.labels).items():
        told = f"nebius: {inputs['name']} is there, and its labels are others than it was to get"
        raise SkyrigError(told, hint="look whose it is; remove it, or take another name for the stack")
    return str(found.metadata.id)
