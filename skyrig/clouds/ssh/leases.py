"""The leases that are seen on machines: what a stack has, what is left of it, and how it is taken away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from skyrig.clouds.cloud import Leftover, SeenMachine, Tagged, TaggedStack
from skyrig.clouds.ssh import door, inventory, lending, looking, whose
from skyrig.clouds.ssh.looking import Seen
from skyrig.errors import SkyrigError

_MACHINE, _LINE = "machine", "way through"
_AT_ONCE = 16

Lease = Mapping[str, Any]


def _lent(seen: Iterable[Seen]) -> list[tuple[Seen, Lease]]:
    """Those that are lent, each lease once: a machine may be in several pools, and is told in the one it was taken
    from."""
    found: dict[str, tuple[Seen, Lease]] = {}
    for each in seen:
        lease = each.lease
        if lease is not None and (lease["id"] not in found or lease["pool"] == each.machine.pool):
            found[lease["id"]] = each, lease
    return list(found.values())


def machines(stack: str, region: str) -> list[SeenMachine]:
    """The machines that are lent to stacks of that name; which of them are of this very one, the leases' ids tell."""
    return [_seen(each, lease) for each, lease in _lent(_at(region)) if lease["stack"] == stack]


def _at(region: str | None, *, gates: bool = False) -> list[Seen]:
    return looking.at(inventory.read().of_region(region), gates=gates)


def _seen(each: Seen, lease: Lease) -> SeenMachine:
    assert each.way is not None
    return SeenMachine(lease["node"], lease["id"], "up", each.way.target.host, each.way.address)


def leftovers(stack: str, region: str) -> list[Leftover]:
    """What a stack of this SKYRIG_HOME still has."""
    home, mark = whose.home(), whose.mark(stack)
    seen = _at(region, gates=True)
    found = [_left(each, lease) for each, lease in _lent(seen) if (lease["stack"], lease["home"]) == (stack, home)]
    for each in seen:
        if each.said is not None and mark in each.said["gates"]:
            found.append(Leftover(_LINE, f"{each.machine.title} {mark}", 0.0))
    return found


def _left(each: Seen, lease: Lease) -> Leftover:
    return Leftover(_MACHINE, f"{each.machine.title} {lease['id']}", 0.0, lease["owner"], lease["since"])


def tagged(region: str | None) -> Tagged:
    """All leases, stack by stack, and the machines that do not answer."""
    listed = inventory.read()
    seen = _at(region, gates=True)
    stacks: dict[tuple[str, str, str], list[Leftover]] = {}
    for each, lease in _lent(seen):
        place = lease["stack"], inventory.PREFIX + each.machine.pool, lease["owner"]
        stacks.setdefault(place, []).append(_left(each, lease))
    found = [
        TaggedStack(stack, "ssh", where, listed.name, owner, tuple(left))
        for (stack, where, owner), left in sorted(stacks.items())
    ]
    unseen = tuple(f"{each.machine.title}: {each.why.message}" for each in seen if each.why is not None)
    return Tagged(tuple(found), unseen, listed.name)


def remove(stack: str, left: Sequence[Leftover]) -> None:
    """Have machines given back, whoever took them, and lines taken out, all at once; what cannot be is found again."""
    there = {each.machine.title: each for each in _at(None, gates=True) if each.said is not None}

    def one(each: Leftover) -> None:
        title, _, what = each.id.rpartition(" ")
        seen = there.get(title)
        if seen is None or seen.way is None:
            return
        with suppress(SkyrigError):
            if each.kind == _LINE:
                door.ask(seen.way, verb="shut", mark=what, place="")
            elif seen.lease is not None and seen.lease["id"] == what:
                lending.give_back(seen.way, what, whose.mark(stack, seen.lease["home"]))

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        list(pool.map(one, left))
