"""What Nebius still has of a stack, and its removal."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from skyrig.clouds.cloud import Leftover
from skyrig.clouds.nebius.door import SECURITY_GROUP, SECURITY_RULE, Door
from skyrig.clouds.nebius.things import THINGS, Thing, is_of
from skyrig.errors import SkyrigError

_AT_ONCE = 8


def of_stack(door: Door, stack: str, region: str) -> list[Leftover]:
    """All that is there of the stack, in the order of removal. A boot disk that goes with its machine is not told
    beside it."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        found = list(pool.map(lambda thing: _found(door, thing, stack, region), THINGS))
    return [each for kind in found for each in kind]


def _found(door: Door, thing: Thing, stack: str, region: str) -> list[Leftover]:
    there = [each for each in door.listed(thing.kind) if is_of(each, stack)]
    managed = thing.name == "disk"
    return [thing.left(each, region) for each in there if not (managed and each.status.managed_by)]


def remove(door: Door, left: Sequence[Leftover]) -> None:
    """Remove it kind by kind. What Nebius refuses to remove now stays, and is listed again."""
    for thing in THINGS:
        wanted = [each for each in left if each.kind == thing.name]
        if wanted:
            with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
                list(pool.map(lambda each, thing=thing: _remove(door, thing, each.id), wanted))


def _remove(door: Door, thing: Thing, id_: str) -> None:
    try:
        if thing.kind == SECURITY_GROUP:
            for rule in door.listed(SECURITY_RULE, id_):
                door.delete(SECURITY_RULE, rule.metadata.id)
        door.delete(thing.kind, id_)
    except SkyrigError:
        return  # it is found again, and named
