"""The instances of a stack, as Oracle Cloud has them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from skyrig.clouds.cloud import SeenMachine
from skyrig.clouds.oci.door import Described, Door
from skyrig.clouds.oci.names import NODE, STACK, tags_of

OFF = ("STOPPED", "STOPPING")
"""States of an instance that is off, or about to be."""

GONE = ("TERMINATED", "TERMINATING")
"""States of one that is gone, or about to be; the API names it for some more hours."""


def of_stack(door: Door, stack: str) -> list[SeenMachine]:
    """The instances under the stack's tag that are there, with their addresses."""
    there = instances(door, stack)
    if not there:
        return []
    ties = {each["instanceId"]: each["vnicId"] for each in reversed(door.listed("/vnicAttachments"))
            if each.get("lifecycleState") == "ATTACHED" and each.get("vnicId")}  # fmt: skip
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda each: _seen(door, each, ties.get(each["id"], "")), there))


def instances(door: Door, stack: str) -> list[Described]:
    """The instances of the stack, as the API describes them."""
    there = door.listed("/instances")
    return [each for each in there if tags_of(each).get(STACK) == stack and each["lifecycleState"] not in GONE]


def _seen(door: Door, described: Described, vnic: str) -> SeenMachine:
    nic = (door.there(f"/vnics/{vnic}") if vnic else None) or {}
    return SeenMachine(
        node_id=tags_of(described).get(NODE, ""),
        machine=str(described["id"]),
        power="stopped" if described["lifecycleState"] in OFF else "up",
        public=nic.get("publicIp") or "",
        private=nic.get("privateIp") or "",
    )
