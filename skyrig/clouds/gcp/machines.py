"""The machines of a stack, as Google Cloud has them: Compute Engine instances, and TPU slices whose hosts are nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skyrig.clouds.cloud import SeenMachine
from skyrig.clouds.gcp.door import Described, Disabled, Door
from skyrig.clouds.gcp.names import cluster_name, label
from skyrig.errors import SkyrigError

OFF = ("TERMINATED", "STOPPING", "PENDING_STOP", "SUSPENDED", "SUSPENDING")
"""States of an instance that is off, or about to be."""

SLICE_OFF = ("STOPPED", "STOPPING")
"""The same of a TPU slice."""

PREEMPTED = "PREEMPTED"
"""State of a TPU slice that was taken back: its hosts are gone, and it is there until it is deleted."""

_SLICE_GONE = ("DELETING", "TERMINATED")
_HOSTS = "Nodes "
"""What the description of a slice begins with; the ids of its hosts follow, in their order."""


def of_stack(door: Door, stack: str, region: str) -> list[SeenMachine]:
    """The machines under the stack's label that are there. A stack has instances or slices, never both."""
    return [_instance(each) for each in instances(door, stack)] or [
        host
        for each in slices(door, stack, region)
        if each.get("state") != PREEMPTED
        for host in _hosts(door.project, each)
    ]


def instances(door: Door, stack: str) -> list[Described]:
    """The instances of the stack, as the API describes them."""
    there = door.everywhere("instances", {"filter": f'name eq "{cluster_name(stack)}-.*"', "maxResults": "500"})
    return [each for each in there if is_of(each, stack)]


def slices(door: Door, stack: str, region: str) -> list[Described]:
    """The TPU slices of the stack, as the API describes them, with their `zone`; those that are going not among them.
    Where the API is not activated there are none. SkyrigError where a zone of the region does not answer."""
    there, silent = all_slices(door)
    if dark := [zone for zone in silent if f"{region}-" in zone]:
        raise SkyrigError(f"gcp: TPUs of {', '.join(dark)} cannot be listed now", hint="try again later")
    return [each for each in there if is_of(each, stack)]


def all_slices(door: Door) -> tuple[list[Described], list[str]]:
    """All TPU slices of the project but those that are going, with their `zone`; and the zones that do not answer."""
    try:
        pages = list(door.pages("locations/-/nodes", {"pageSize": "500"}, service="tpu"))
    except Disabled:
        return [], []
    there = [{**each, "zone": zone_of(each)} for page in pages for each in page.get("nodes", ())]
    silent = [zone for page in pages for zone in page.get("unreachable", ())]
    return [each for each in there if each.get("state") not in _SLICE_GONE], silent


def said(described: Mapping[str, Any]) -> dict[str, str]:
    """The labels of a thing; of one that takes none, what its description says instead."""
    if "labels" in described:
        return dict(described["labels"])
    words = [word.partition("=") for word in str(described.get("description", "")).split()]
    return {name: value for name, sign, value in words if sign}


def is_of(described: Mapping[str, Any], stack: str) -> bool:
    """Whether a thing that carries labels was made for the stack. Labels say less than names of stacks do, so that two
    stacks may have one label; the thing's own name tells them apart."""
    own = str(described["name"]).rpartition("/")[2].startswith(f"{cluster_name(stack)}-")
    return own and described.get("labels", {}).get("skyrig-stack") == label(stack)


def zone_of(slice_: Mapping[str, Any]) -> str:
    """Zone of a TPU slice: its name is projects/PROJECT/locations/ZONE/nodes/NAME."""
    return str(slice_["name"]).split("/locations/")[1].partition("/")[0]


def slice_path(slice_: Mapping[str, Any]) -> str:
    """Path of a TPU slice in its project."""
    return f"locations/{zone_of(slice_)}/nodes/{slice_['name'].rpartition('/')[2]}"


def _instance(seen: Described) -> SeenMachine:
    nics: list[Described] = seen.get("networkInterfaces", [])
    nic = nics[0] if nics else {}
    return SeenMachine(
        node_id=seen.get("labels", {}).get("skyrig-node", ""),
        machine=str(seen["id"]),
        power="stopped" if seen["status"] in OFF else "up",
        public=next((each["natIP"] for each in nic.get("accessConfigs", ()) if each.get("natIP")), ""),
        private=nic.get("networkIP", ""),
    )


def _hosts(project: str, said: Described) -> Iterator[SeenMachine]:
    """A slice is one machine to Google Cloud; its hosts are told apart by their addresses (components.gcp.slices)."""
    ids = said.get("description", "").removeprefix(_HOSTS).split(", ")
    for number, endpoint in enumerate(said.get("networkEndpoints", ())):
        private = endpoint.get("ipAddress", "")
        yield SeenMachine(
            node_id=ids[number] if number < len(ids) else "",
            machine=f"projects/{project}/{slice_path(said)}/{number} at {private}",
            power="stopped" if said.get("state") in SLICE_OFF else "up",
            public=endpoint.get("accessConfig", {}).get("externalIp", ""),
            private=private,
        )
