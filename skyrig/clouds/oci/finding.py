"""Where a thing is that an engine was making when it was killed: by the name and the stack that it was to get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.clouds.oci import session
from skyrig.clouds.oci.door import Described, Door
from skyrig.clouds.oci.kinds import IDENTITIES, KINDS, Kind
from skyrig.clouds.oci.names import STACK, tags_of
from skyrig.errors import SkyrigError

_KINDS = {kind.name: kind for kind in (*KINDS, *IDENTITIES)}
_LISTED = {
    "oci:Core/computeCluster:ComputeCluster": "compute cluster",
    "oci:Core/instance:Instance": "instance",
    "oci:Core/internetGateway:InternetGateway": "internet gateway",
    "oci:Core/natGateway:NatGateway": "NAT gateway",
    "oci:Core/networkSecurityGroup:NetworkSecurityGroup": "security group",
    "oci:Core/routeTable:RouteTable": "route table",
    "oci:Core/securityList:SecurityList": "security list",
    "oci:Core/serviceGateway:ServiceGateway": "service gateway",
    "oci:Core/subnet:Subnet": "subnet",
    "oci:Core/vcn:Vcn": "VCN",
    "oci:Identity/dynamicGroup:DynamicGroup": "dynamic group",
    "oci:Identity/policy:Policy": "policy",
}
"""The kind of each type; a thing's OCID is the provider's id too."""

_BUCKET = "oci:ObjectStorage/bucket:Bucket"

_TIES = ("oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule",)
"""Types that only tie things together: they cost nothing, and go with what they tie."""

_DYNAMIC = "pulumi-python:dynamic/"
"""What only switches what others have made: making it again does so again."""


def find(door: Door, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
    """The id under which the engine knows the thing of type `kind` that was to be made from `inputs`; None where there
    is none (of a tie: where it is made again). SkyrigError for a type that is not known here."""
    if kind in _TIES or kind.startswith(_DYNAMIC):
        return None
    if kind == _BUCKET:
        path = f"/n/{inputs['namespace']}/b/{inputs['name']}"
        found = door.there(path, service="objectstorage")
        return path.lstrip("/") if found is not None and _is_ours(found, inputs) else None
    if kind not in _LISTED:
        raise SkyrigError(f"oci: nobody knows how to look for a {kind}")
    listed = _KINDS[_LISTED[kind]]
    return _named(door, listed, inputs)


def _named(door: Door, kind: Kind, inputs: Mapping[str, Any]) -> str | None:
    where = door.home if kind in IDENTITIES else door
    wanted = inputs.get("displayName") or inputs.get("name")
    for each in kind.found(where, session.tenancy() or door.account):
        if wanted in (each.get("displayName"), each.get("name")) and _is_ours(each, inputs):
            return str(each["id"])
    return None


def _is_ours(found: Described, inputs: Mapping[str, Any]) -> bool:
    """Whether a thing carries the stack that it was to carry."""
    return tags_of(found).get(STACK) == (inputs.get("freeformTags") or {}).get(STACK)
