"""Machines are lent to nodes: chosen, checked, taken, looked at, and given back.

A machine belongs to one node of one cluster at a time. The lease lies on the machine itself (skyrig.clouds.ssh.lent),
so that all who know the machine see it, and of two who want it one gets it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skyrig.clouds.ssh import door, inventory, kinds, looking, ways, whose
from skyrig.clouds.ssh.inventory import Pool
from skyrig.clouds.ssh.looking import Seen
from skyrig.clouds.ssh.ways import Way
from skyrig.errors import SkyrigError, Unreachable
from skyrig.fleet.ssh import asyncssh

NO_FREE_MACHINE = "SshNoFreeMachine"
"""The code of the refusal (data/ssh/refusals.json)."""

LEAST_GB = 1.0
"""What must be free in the home of a machine, in GB: Skyrig's own runtime takes a part of it."""

MOST_SKEW_S = 300.0
"""How far a machine's clock may be from the one here, in seconds."""


class NoFreeMachine(SkyrigError):
    """A pool has no machine for a node now."""


class NotGivenBack(SkyrigError):
    """A machine could not be given back."""


def create(given: Mapping[str, Any]) -> dict[str, Any]:
    """Take a machine for a node, or go on with the one that it has. NoFreeMachine where there is none, with what
    becomes of each machine of the pool."""
    pool = inventory.read().pool(given["region"])
    wanted = {key: given[key] for key in ("stack", "node", "version", "owner", "task", "managed")}
    lease = {**wanted, "id": uuid.uuid4().hex, "home": whose.home(), "pool": pool.name}
    seen = looking.at([pool], reach_s=door.REACH_S)
    misses = []
    for each in _in_order(seen, given, lease):
        why = trouble(each, given["instance_type"], lease)
        if not why:
            assert each.way is not None
            said = door.ask(each.way, verb="take", lease=lease, key=given["public_key"])
            if said["taken"]:
                _pass(each.way, given["public_key"], whose.mark(given["stack"]))
                return _made(each.way, said, kinds.of(each.machine, said).to_json())
            why = _leased(said["lease"])
        misses.append(f"{each.machine.name} {why}")
    wrong = [each.why for each in seen if each.why is not None and not is_silent(each.why)]
    code = "" if wrong else f"{NO_FREE_MACHINE}: "
    raise NoFreeMachine(f"{code}pool {pool.name} has no machine for {given['node']}: {'; '.join(misses)}")


def _in_order(seen: Sequence[Seen], given: Mapping[str, Any], lease: Mapping[str, Any]) -> Iterator[Seen]:
    """The machines in the order in which they are tried: the one that the node has already; then for the head those
    that are reached without another one, for others those that are not; then those that are just what is wanted."""

    def rank(each: Seen) -> tuple[bool, bool, bool]:
        behind = bool(each.machine.jump)
        exact = each.kind is not None and each.kind.name == given["instance_type"]
        return not _is_for(each.lease, lease), behind if given["is_head"] else not behind, not exact

    yield from sorted(seen, key=rank)


def _is_for(lease: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    return lease is not None and all(lease.get(key) == wanted[key] for key in ("home", "stack", "node", "version"))


def trouble(seen: Seen, instance_type: str, lease: Mapping[str, Any] | None = None) -> str:
    """Why a machine cannot be taken for a type ("": for any), in a clause; "" where nothing is in the way. That it is
    lent by `lease` is not."""
    if seen.said is None:
        return seen.why.message if seen.why is not None else "says nothing"
    if seen.lease is not None and (lease is None or not _is_for(seen.lease, lease)):
        return _leased(seen.lease)
    kind, wanted = seen.kind, kinds.named(instance_type)
    if kind is not None and wanted is not None and not kind.holds(wanted):
        return f"is {kind.name}"
    return unfit(seen.said)


def unfit(said: Mapping[str, Any]) -> str:
    """What is wrong with a machine that answers, in a clause; "" where nothing is."""
    skew = said["clock"] - time.time()
    if abs(skew) > MOST_SKEW_S:
        return f"has a clock that is {skew:+.0f} s off: start its time service"
    if said["free_gb"] < LEAST_GB:
        return f"has {said['free_gb']:.1f} GB free in its home; {LEAST_GB:g} GB are wanted"
    if not said["writable"]:
        return "has a home that cannot be written to"
    if said["in_the_way"]:
        return f"has {', '.join(said['in_the_way'])}, and no lease says whose: move it away"
    return ""


def _leased(lease: Mapping[str, Any]) -> str:
    return f"is leased to cluster {lease['stack']} of {lease['owner'] or 'nobody known'}"


def is_silent(error: SkyrigError) -> bool:
    """Whether a machine says nothing, and not that it will not have us."""
    if isinstance(error, door.NoAnswer):
        return True
    return isinstance(error, Unreachable) and not isinstance(error.__cause__, asyncssh.PermissionDenied)


def _pass(way: Way, key: str, mark: str) -> None:
    """Have the machines before one let the cluster's key through to it."""
    while way.before is not None:
        door.ask(way.before, verb="pass", mark=mark, key=key, place=way.place)
        way = way.before


def _made(way: Way, said: Mapping[str, Any], kind: Mapping[str, Any]) -> dict[str, Any]:
    return {"lease": said["lease"]["id"], "boot": said["boot"], "kind": dict(kind), "way": way.to_json()}


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """A node's machine as it is; empty where it is not lent to that node any more, or is lost: it does not answer,
    though others of its pool do, or it is in the inventory no more. SkyrigError where nobody answers."""
    pool = _pool(given["region"])
    found = _found(given, pool)
    if found is None:
        return {}
    way = found
    try:
        said = door.ask(way, verb="look")
    except SkyrigError as error:
        if is_silent(error) and _is_lost(way, pool):
            return {}
        raise
    if said["lease"] is None or said["lease"]["id"] != given["id"]:
        return {}
    listed = next((each for each in (pool.machines if pool else ()) if each.name == way.name), None)
    kind = kinds.of(listed, said).to_json() if listed is not None else given["machine"]["kind"]
    return _made(way, said, kind)


def _pool(region: str) -> Pool | None:
    return next(iter(inventory.read().of_region(region)), None)


def _found(given: Mapping[str, Any], pool: Pool | None) -> Way | None:
    """The way to a node's machine: as the inventory has it now, else as the state does. Without either all of the pool
    are asked for the lease."""
    if given.get("machine") is None:
        there = looking.at([pool]) if pool is not None else []
        return next((each.way for each in there if each.lease is not None and each.lease["id"] == given["id"]), None)
    way = ways.from_json(given["machine"]["way"])
    if pool is not None and way.name in {each.name for each in pool.machines}:
        return ways.to(pool, pool.way(way.name))
    return way


def _is_lost(way: Way, pool: Pool | None) -> bool:
    """Whether a machine that says nothing is gone: it is listed no more, or others beside it answer."""
    if pool is None or way.name not in {each.name for each in pool.machines}:
        return True
    return any(each.said is not None for each in looking.at([pool], gates=True))


def delete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give a node's machine back: it is afterwards as it was. NotGivenBack where it does not answer, but for one that
    the inventory has no more."""
    pool = _pool(given["region"])
    way = _found(given, pool)
    if way is None:
        return {}
    try:
        give_back(way, given["id"], whose.mark(given["stack"]))
    except SkyrigError as error:
        listed = pool is not None and way.name in {each.name for each in pool.machines}
        if is_silent(error) and not listed:
            return {}
        raise NotGivenBack(
            f"{way.title} is not given back: {error.message}",
            hint=f"run it again when it answers; or take {way.name} out of the inventory, and it is given up",
        ) from error
    return {}


def give_back(way: Way, lease: str, mark: str) -> None:
    """Give a machine back, and have those before it let nobody through to it."""
    door.ask(way, verb="back", id=lease)
    while way.before is not None:
        door.ask(way.before, verb="shut", mark=mark, place=way.place)
        way = way.before


def find(given: Mapping[str, Any]) -> str | None:
    """The lease of a node that was being made; None where no machine has one."""
    pool = _pool(given["region"])
    wanted = {**{key: given[key] for key in ("stack", "node", "version")}, "home": whose.home()}
    there = looking.at([pool]) if pool is not None else []
    return next((each.lease["id"] for each in there if each.lease is not None and _is_for(each.lease, wanted)), None)
