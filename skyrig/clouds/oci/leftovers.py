"""What Oracle Cloud still has of a stack, what that costs, and its removal. All kinds are looked for at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from skyrig.clouds.cloud import Leftover
from skyrig.clouds.oci import session
from skyrig.clouds.oci.door import Described, Door, NotThere
from skyrig.clouds.oci.kinds import IDENTITIES, KINDS, Kind
from skyrig.clouds.oci.machines import GONE
from skyrig.clouds.oci.names import OWNER, STACK, cluster_name, tags_of
from skyrig.errors import SkyrigError

LIMIT_S = 900.0
"""Seconds that the end of one instance may take."""
_POLL_S = 3.0
_BOOT_VOLUME = " (Boot Volume)"
"""What Oracle Cloud adds to an instance's name for that of its boot volume."""

Found = tuple[Kind, Described]
"""A thing, and what it is."""


def of_stack(door: Door, stack: str) -> list[Leftover]:
    """All that is there of the stack, in the order of removal; ids are paths in the API."""
    tenancy = session.tenancy() or door.account
    there = [*regional(door, tenancy), *identities(door.home, tenancy)]
    return [left(kind, each, door.region) for kind, each in there if is_of(each, stack)]


def is_of(described: Described, stack: str) -> bool:
    """Whether a thing is the stack's, by its tag. A boot volume gets none when its instance is launched, but a name
    that begins with the instance's."""
    named = str(described.get("displayName", ""))
    return tags_of(described).get(STACK) == stack or (
        named.startswith(f"{cluster_name(stack)}-") and named.endswith(_BOOT_VOLUME)
    )


def regional(door: Door, tenancy: str) -> list[Found]:
    """All things of a region that Skyrig has made, of whatever stack, and all boot volumes of instances."""
    return _found(door, KINDS, tenancy)


def identities(home: Door, tenancy: str) -> list[Found]:
    """All its identities. Who may not look for any has made none."""
    try:
        return _found(home, IDENTITIES, tenancy)
    except NotThere:
        return []


def _found(door: Door, kinds: Sequence[Kind], tenancy: str) -> list[Found]:
    with ThreadPoolExecutor(max_workers=len(kinds)) as pool:
        listed = pool.map(lambda kind: kind.found(door, tenancy), kinds)
        both = zip(kinds, listed, strict=True)
        return [(kind, each) for kind, found in both for each in found if _may_be_ours(each)]


def _may_be_ours(described: Described) -> bool:
    return STACK in tags_of(described) or str(described.get("displayName", "")).endswith(_BOOT_VOLUME)


def left(kind: Kind, described: Described, region: str) -> Leftover:
    """One thing, as the API describes it."""
    return Leftover(
        kind.name,
        f"{kind.path}/{described['id']}",
        kind.hourly(described, region),
        tags_of(described).get(OWNER, ""),
        since(described),
    )


def since(described: Described) -> float | None:
    """When a thing was made, in seconds since 1970."""
    try:
        return datetime.fromisoformat(described["timeCreated"].replace("Z", "+00:00")).timestamp()
    except (KeyError, ValueError):
        return None


def remove(door: Door, left: Sequence[Leftover]) -> None:
    """Remove it kind by kind, all of one kind at once. What Oracle Cloud refuses to remove now stays, and is listed
    again."""
    for kind in (*KINDS, *IDENTITIES):
        wanted = [each.id for each in left if each.kind == kind.name]
        if wanted:
            where = door.home if kind in IDENTITIES else door
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(lambda path, kind=kind, where=where: _remove(where, kind, path), wanted))


def _remove(door: Door, kind: Kind, path: str) -> None:
    query = {"preserveBootVolume": "false"} if kind.name == "instance" else None
    try:
        door.call("DELETE", path, query, service=kind.service)
        if kind.name == "instance":
            _await_end(door, path)
    except SkyrigError:
        return  # it is found again, and named


def _await_end(door: Door, path: str) -> None:
    """Wait until an instance is gone: its address holds the subnet until then."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        found = door.there(path)
        if found is None or found["lifecycleState"] == GONE[0]:
            return
        time.sleep(_POLL_S)


def stacks(found: Iterable[Found]) -> dict[str, list[Found]]:
    """Things by the stack that they say they are of; those that say none are left out."""
    by: dict[str, list[Found]] = {}
    for kind, each in found:
        if stack := tags_of(each).get(STACK):
            by.setdefault(stack, []).append((kind, each))
    return by
