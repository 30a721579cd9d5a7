"""One machine for one name: found again, else made, and never twice; waited for; ended until it is gone.

A cloud may say that it failed after it has made a machine, and a program may be killed before it hears of it. So the
name is looked for first, and again after an answer that leaves it open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from skyrig.clouds.machines_api.asking import Unclear, haste
from skyrig.clouds.machines_api.machine import HOST, KnownKey, Order, Rental, Rents
from skyrig.errors import SkyrigError

_T = TypeVar("_T")

BOOT_S = 1800.0
"""Seconds that a machine may take until it is up, with an address: bare ones with eight accelerators take long."""

END_S = 600.0
"""Seconds that a machine may take to go."""

_SETTLED_S = 60.0
"""Seconds after which a machine that was made is listed, at the latest."""

_LOOK_S = 5.0


def ensured(rents: Rents, order: Order) -> Rental:
    """The machine of that name: the one that is there, else a new one. One that has failed for good makes way.
    SkyrigError where another one is called so."""
    found = named(rents.machines(), order)
    if found is not None and found.state != "failed":
        return found
    if found is not None:
        ended(rents, found.id)
    try:
        made = rents.rent(order)
    except Unclear as error:
        found = _within(_SETTLED_S, lambda: named(rents.machines(), order))
        if found is None:
            raise SkyrigError(
                f"{error.message}; no machine {order.name} is there",
                hint="run it again: a machine that shows up later is found by its name and taken over",
            ) from error
        return found
    return Rental(made, order.name, "starting", order.kind, order.region, tags=order.tags)


def named(machines: Iterable[Rental], order: Order) -> Rental | None:
    """The machine that was made from an order; None where there is none. SkyrigError where another one is called so,
    for instance of a stack whose state was lost: its keys are not ours."""
    there = [each for each in machines if each.name == order.name and each.is_there]
    ours = [each for each in there if each.tags.get(HOST, "") == order.tags.get(HOST, "")]
    if there and not ours:
        raise SkyrigError(
            f"machine {order.name} ({there[0].id}) is there, and was made with other keys",
            hint="`invoke down` of the stack that it is of, or `invoke reclaim`, ends it",
        )
    return min(ours, key=lambda each: (each.since or 0.0, each.id), default=None)


def reached(rents: Rents, ids: Mapping[str, str]) -> dict[str, Rental]:
    """The machines by node, once all are up with an address, within BOOT_S. Bounded by the slowest, not by their
    number. SkyrigError where one fails, is gone, or takes longer."""
    found = {}
    settled = time.monotonic() + haste(_SETTLED_S)

    def all_up() -> dict[str, Rental] | None:
        found.update(looked(rents, ids))
        for node, seen in found.items():
            lost = seen.state == "gone" and time.monotonic() > settled
            if lost or seen.state in ("failed", "stopped"):
                raise SkyrigError(f"{node}: machine {ids[node]} does not come up: it is {seen.why or seen.state}")
        return found if all(each.is_reached for each in found.values()) else None

    if _within(BOOT_S, all_up) is None:
        late = sorted(node for node, seen in found.items() if not seen.is_reached)
        raise SkyrigError(
            f"{', '.join(late)}: not up after {haste(BOOT_S) / 60:.0f} minutes",
            hint="`invoke up` again waits on; `invoke down` ends them",
        )
    return found


def looked(rents: Rents, ids: Mapping[str, str]) -> dict[str, Rental]:
    """The machines by node, as they are now; one that is not listed is gone."""
    there = {each.id: each for each in rents.machines()}
    return {node: there.get(id_) or Rental(id_, "", "gone") for node, id_ in ids.items()}


def switched(rents: Rents, ids: Mapping[str, str], *, up: bool) -> dict[str, Rental]:
    """Have machines start, or stop, that are not so, and wait for that."""
    before = looked(rents, ids)
    for node, seen in before.items():
        if up and seen.state in ("stopped", "stopping"):
            _within(END_S, lambda id_=ids[node]: _stopped(rents, {"": id_}))  # type: ignore[misc]
            rents.start(ids[node])
        if not up and seen.state in ("starting", "up"):
            rents.stop(ids[node])
    if up:
        return reached(rents, {node: id_ for node, id_ in ids.items() if before[node].is_there})
    found = _within(END_S, lambda: _stopped(rents, ids))
    if found is None:
        raise SkyrigError(f"{', '.join(sorted(ids))}: not stopped after {END_S / 60:.0f} minutes")
    return found


def _stopped(rents: Rents, ids: Mapping[str, str]) -> dict[str, Rental] | None:
    found = looked(rents, ids)
    return None if any(each.state in ("starting", "up", "stopping") for each in found.values()) else found


def ended(rents: Rents, id_: str) -> None:
    """End a machine, and wait until it is gone. SkyrigError where it stays."""

    def gone() -> bool | None:
        seen = rents.machine(id_)
        return True if seen is None or seen.state == "gone" else None

    rents.end(id_)
    if _within(END_S, gone) is None:
        raise SkyrigError(f"machine {id_} is still there {END_S / 60:.0f} minutes after its end was asked for")


def kept(rents: Rents, name: str, public_key: str) -> str:
    """The id of the client's key under its name; another key of that name makes way."""
    same: Sequence[KnownKey] = [each for each in rents.known_keys() if each.name == name]
    for each in same:
        if blob(each.public_key) == blob(public_key):
            return each.id
        rents.forget_key(each.id)
    try:
        return rents.keep_key(name, public_key)
    except Unclear:
        for known in rents.known_keys():
            if known.name == name and blob(known.public_key) == blob(public_key):
                return known.id
        raise


def blob(public_key: str) -> str:
    """Type and body of a public key, without its comment."""
    return " ".join(public_key.split()[:2])


def _within(seconds: float, look: Callable[[], _T | None]) -> _T | None:
    """What `look` finds, looked for again and again within so many seconds; None where it finds nothing."""
    until = time.monotonic() + haste(seconds)
    while (found := look()) is None:
        if time.monotonic() > until:
            return None
        time.sleep(haste(_LOOK_S))
    return found
