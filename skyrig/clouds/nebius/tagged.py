"""All that Skyrig has made in a project of Nebius, with nothing known of any stack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from skyrig.clouds.cloud import Leftover, Tagged, TaggedStack, by_owner
from skyrig.clouds.nebius.door import BUCKET, Door
from skyrig.clouds.nebius.names import cluster_name
from skyrig.clouds.nebius.things import THINGS

_NAME = re.compile(r"([a-z][a-z0-9-]{0,17}-[0-9a-f]{6})-.*")


def everything(door: Door, region: str | None) -> Tagged:
    """All of it. A project is in one region: in another one there is nothing."""
    here = door.region()
    if region not in (None, here):
        return Tagged(account=door.project)
    found: dict[str, list[Leftover]] = {}
    for stack, left in _seen(door, here):
        found.setdefault(stack, []).append(left)
    kept: dict[str, list[str]] = {}
    for bucket in door.listed(BUCKET):
        if stack := dict(bucket.metadata.labels).get("skyrig-stack", ""):
            kept.setdefault(stack, []).append(f"nebius://{bucket.metadata.name}")
    whole = [
        TaggedStack(
            stack, "nebius", here, door.project, left=tuple(found.get(stack, ())), kept=tuple(kept.get(stack, ()))
        )
        for stack in dict.fromkeys((*found, *kept))
    ]
    return Tagged(tuple(each for seen in whole for each in by_owner(seen)), account=door.project)


def _seen(door: Door, region: str) -> Iterator[tuple[str, Leftover]]:
    """What is there, each with its stack. Where a label says less than the stack's name does, the beginning of the
    thing's name stands for the stack."""
    for thing in THINGS:
        for each in door.listed(thing.kind):
            stack = _stack(each)
            if stack:
                yield stack, thing.left(each, region)


def _stack(thing: Any) -> str:
    said = dict(thing.metadata.labels).get("skyrig-stack", "")
    match = _NAME.fullmatch(str(thing.metadata.name))
    if match is None or not said:
        return ""
    return said if cluster_name(said) == match[1] else match[1]
