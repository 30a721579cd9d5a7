"""Machines of one project looked at, and switched on and off."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from skyrig.errors import SkyrigError

OFF = ("STOPPED", "STOPPING")
"""States of a machine that is off, or about to be."""

_AT_ONCE = 16


def look(project: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """By id, of those that are there: `status` as the API calls it, and their `public` and `private` addresses."""
    from skyrig.clouds.nebius.door import INSTANCE, opened  # where it is used: it is imported at preview too

    wanted = set(ids)
    if not wanted:
        return {}
    with opened(project) as door:
        there = [each for each in door.listed(INSTANCE) if each.metadata.id in wanted]
    return {each.metadata.id: {"status": each.status.state.name, **addresses(each)} for each in there}


def switch(project: str, ids: Sequence[str], verb: str) -> None:
    """`start` or `stop` these machines, all at once, and wait until that is done."""
    from skyrig.clouds.nebius.door import opened  # where it is used: it is imported at preview too

    with opened(project) as door, ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        call = door.start if verb == "start" else door.stop

        def one(id_: str) -> str:
            try:
                call(id_)
            except SkyrigError as error:
                return f"{id_}: {error.message}"
            return ""

        failed = [said for said in pool.map(one, ids) if said]
    if failed:
        hint = "run the same command again: what is done stays done"
        raise SkyrigError(f"{verb} failed: {'; '.join(failed)}", hint=hint)


def addresses(instance: Any) -> dict[str, str]:
    """The `public` and `private` address of a machine; "" where it has none."""
    nics = list(instance.status.network_interfaces)
    if not nics:
        return {"public": "", "private": ""}
    public, private = nics[0].public_ip_address, nics[0].ip_address
    return {
        "public": str(public.address).partition("/")[0] if public else "",
        "private": str(private.address).partition("/")[0] if private else "",
    }
