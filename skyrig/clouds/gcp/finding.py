"""Where a thing is that an engine was making when it was killed: names are made from the stack, never by chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.clouds.gcp.door import Described, Door
from skyrig.clouds.gcp.names import account_email
from skyrig.errors import SkyrigError

_PATHS = {
    "gcp:compute/address:Address": ("compute", "regions/{region}/addresses/{name}"),
    "gcp:compute/firewall:Firewall": ("compute", "global/firewalls/{name}"),
    "gcp:compute/forwardingRule:ForwardingRule": ("compute", "regions/{region}/forwardingRules/{name}"),
    "gcp:compute/image:Image": ("compute", "global/images/{name}"),
    "gcp:compute/instance:Instance": ("compute", "zones/{zone}/instances/{name}"),
    "gcp:compute/instanceGroup:InstanceGroup": ("compute", "zones/{zone}/instanceGroups/{name}"),
    "gcp:compute/network:Network": ("compute", "global/networks/{name}"),
    "gcp:compute/regionBackendService:RegionBackendService": ("compute", "regions/{region}/backendServices/{name}"),
    "gcp:compute/regionHealthCheck:RegionHealthCheck": ("compute", "regions/{region}/healthChecks/{name}"),
    "gcp:compute/resourcePolicy:ResourcePolicy": ("compute", "regions/{region}/resourcePolicies/{name}"),
    "gcp:compute/router:Router": ("compute", "regions/{region}/routers/{name}"),
    "gcp:compute/subnetwork:Subnetwork": ("compute", "regions/{region}/subnetworks/{name}"),
    "gcp:projects/iAMCustomRole:IAMCustomRole": ("iam", "roles/{roleId}"),
    "gcp:serviceaccount/account:Account": ("iam", "serviceAccounts/{email}"),
    "gcp:tpu/v2Vm:V2Vm": ("tpu", "locations/{zone}/nodes/{name}"),
}
"""API and path of each type; behind projects/PROJECT/ the path is the provider's id too."""

TIES = (
    "gcp:projects/iAMMember:IAMMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
)
"""Types that only tie things together: they cost nothing, and making one again takes the old one over."""

_GOING = ("DELETING", "TERMINATED")
"""States of a TPU slice that is gone, or about to be."""


def find(door: Door, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
    """The id under which the engine knows the thing of type `kind` that was to be made from `inputs`; None where there
    is none (of a tie: where it is made again). SkyrigError for a type that is not known here, and where another thing
    has its name."""
    if kind in TIES:
        return None
    if kind == "gcp:compute/routerNat:RouterNat":
        return _nat(door, inputs, region)
    if kind == "gcp:storage/bucket:Bucket":
        found = door.there(f"/b/{inputs['name']}", service="storage")
        return _checked(found, inputs, str(inputs["name"]))
    if kind not in _PATHS:
        raise SkyrigError(f"gcp: nobody knows how to look for a {kind}")
    service, pattern = _PATHS[kind]
    email = account_email(str(inputs.get("accountId", "")), door.project)
    path = pattern.format_map({"region": region, "email": email, **inputs})
    found = door.there(path, service=service)
    if found is not None and (found.get("deleted") or found.get("state") in _GOING):
        return None  # a custom role keeps its id for some days, and is brought back by making it again
    return _checked(found, inputs, f"projects/{door.project}/{path}")


def _nat(door: Door, inputs: Mapping[str, Any], region: str) -> str | None:
    """A gateway is a part of its router, and known by its own name there."""
    region, router, name = str(inputs.get("region", region)), str(inputs["router"]), str(inputs["name"])
    found = door.there(f"regions/{region}/routers/{router}") or {}
    if all(each["name"] != name for each in found.get("nats", ())):
        return None
    return f"{door.project}/{region}/{router}/{name}"


def _checked(found: Described | None, inputs: Mapping[str, Any], id_: str) -> str | None:
    """The id of what was found, if that is what was to be made: its labels say so, else its title or description."""
    if found is None:
        return None
    for key in ("labels", "title", "description"):
        if key in inputs:
            wanted, there = inputs[key], found.get(key)
            same = wanted.items() <= (there or {}).items() if isinstance(wanted, Mapping) else wanted == there
            if not same:
                told = f"gcp: {id_} is there, and its {key} is another one than it was to get"
                raise SkyrigError(told, hint="look whose it is; remove it, or take another name for the stack")
            return id_
    raise SkyrigError(f"gcp: {id_} was being made without anything that tells it from others")
