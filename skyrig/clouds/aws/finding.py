"""Where a thing is that an engine was making when it was killed: by the tags that it was to get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds.aws import balancers, machines, session
from skyrig.errors import SkyrigError

_GONE = ("terminated", "shutting-down", "deleted", "deleting")


@frozen
class _Listing:
    """How EC2 lists a type of thing: the call, the key of its answer, the key of the id that the engine knows it by."""

    call: str
    listed: str
    id: str


_LISTED = {
    "aws:ec2/vpc:Vpc": _Listing("describe_vpcs", "Vpcs", "VpcId"),
    "aws:ec2/subnet:Subnet": _Listing("describe_subnets", "Subnets", "SubnetId"),
    "aws:ec2/internetGateway:InternetGateway": _Listing(
        "describe_internet_gateways", "InternetGateways", "InternetGatewayId"
    ),
    "aws:ec2/natGateway:NatGateway": _Listing("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    "aws:ec2/eip:Eip": _Listing("describe_addresses", "Addresses", "AllocationId"),
    "aws:ec2/routeTable:RouteTable": _Listing("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws:ec2/securityGroup:SecurityGroup": _Listing("describe_security_groups", "SecurityGroups", "GroupId"),
    "aws:ec2/launchTemplate:LaunchTemplate": _Listing(
        "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"
    ),
    "aws:ec2/placementGroup:PlacementGroup": _Listing("describe_placement_groups", "PlacementGroups", "GroupName"),
    "aws:ec2/keyPair:KeyPair": _Listing("describe_key_pairs", "KeyPairs", "KeyName"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _Listing("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "aws:ec2/instance:Instance": _Listing("describe_instances", "Reservations", "InstanceId"),
    "aws:ec2/amiFromInstance:AmiFromInstance": _Listing("describe_images", "Images", "ImageId"),
    "aws:ec2/amiCopy:AmiCopy": _Listing("describe_images", "Images", "ImageId"),
}

TIES = (
    "aws:ec2/eipAssociation:EipAssociation",
    "aws:ec2/mainRouteTableAssociation:MainRouteTableAssociation",
    "aws:ec2/route:Route",
    "aws:ec2/tag:Tag",
    "aws:ec2/vpcEndpointRouteTableAssociation:VpcEndpointRouteTableAssociation",
    "aws:ec2transitgateway/instanceState:InstanceState",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:lb/targetGroupAttachment:TargetGroupAttachment",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
)
"""Types that only tie things together: they cost nothing, and making one again takes the old one over."""


def find(kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
    """The id under which the engine knows the thing of type `kind` with the tags of `inputs`; None where there is none
    (of a tie: where it is made again). SkyrigError for a type that is not known here, or where several are alike."""
    if kind in TIES:
        return None
    if kind in ("aws:iam/role:Role", "aws:iam/instanceProfile:InstanceProfile"):
        return _named(kind, inputs, region)
    if kind == "aws:ec2/routeTableAssociation:RouteTableAssociation":
        return _routed(inputs, region)
    if kind == balancers.LISTENER or (kind in balancers.TYPES and _tags(inputs)):
        return _only(kind, balancers.find(kind, inputs, region))
    if kind not in _LISTED:
        raise SkyrigError(f"aws: nobody knows how to look for a {kind}")
    listing = _LISTED[kind]
    key = "Filter" if listing.call == "describe_nat_gateways" else "Filters"
    wanted = [{"Name": f"tag:{name}", "Values": [value]} for name, value in _tags(inputs).items()]
    ec2 = session.client("ec2", str(inputs.get("region") or region))  # copies of images are elsewhere, and say so
    with session.asking(f"looking for a {kind}"):
        there = list(getattr(ec2, listing.call)(**{key: wanted})[listing.listed])
    if kind == "aws:ec2/instance:Instance":
        there = [each for group in there for each in group["Instances"]]
    there = [each for each in there if _state(each) not in _GONE]
    if len(there) > 1:
        there = _exactly(there, kind, inputs, region)
    return _only(kind, [str(each[listing.id]) for each in there])


def _exactly(there: list[Any], kind: str, inputs: Mapping[str, Any], region: str) -> list[Any]:
    """Of things that all carry the wanted tags, those that carry no others: a node's address has more of them than the
    gateway's. Launch templates are told apart by what they are described as."""
    same = [each for each in there if _own(machines.tags_of(each)) == _tags(inputs)]
    if kind == "aws:ec2/launchTemplate:LaunchTemplate" and len(same) > 1:
        ec2 = session.client("ec2", region)
        with session.asking("looking into launch templates"):
            versions = [
                ec2.describe_launch_template_versions(LaunchTemplateId=each["LaunchTemplateId"], Versions=["$Latest"])
                for each in same
            ]
        said = [each["LaunchTemplateVersions"][0].get("VersionDescription") for each in versions]
        same = [each for each, text in zip(same, said, strict=True) if text == inputs.get("description")]
    return same or there


def _own(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags without those that AWS itself gives."""
    return {name: value for name, value in tags.items() if not name.startswith("aws:")}


def _named(kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
    """A role or an instance profile: its name begins as the create wanted, and it carries the tags of the create."""
    iam, prefix = session.client("iam", region), str(inputs.get("name") or inputs["namePrefix"])
    what = "role" if kind == "aws:iam/role:Role" else "instance_profile"
    listed, name = ("Roles", "RoleName") if what == "role" else ("InstanceProfiles", "InstanceProfileName")
    wanted = _tags(inputs)
    with session.asking(f"looking for {prefix}"):
        pages = iam.get_paginator(f"list_{what}s").paginate()
        names = [each[name] for page in pages for each in page[listed] if each[name].startswith(prefix)]
        asked = {one: getattr(iam, f"get_{what}")(**{name: one})[listed.removesuffix("s")] for one in names}
        tags = {one: machines.tags_of(said) for one, said in asked.items()}
    found = [one for one in names if wanted.items() <= tags[one].items()]
    return _only(kind, found)


def _routed(inputs: Mapping[str, Any], region: str) -> str | None:
    """The association of a subnet with a route table; a second one is refused."""
    subnet = str(inputs["subnetId"])
    with session.asking(f"routes of {subnet}"):
        tables = session.client("ec2", region).describe_route_tables(
            Filters=[{"Name": "association.subnet-id", "Values": [subnet]}]
        )["RouteTables"]
    ties = [tie for table in tables for tie in table["Associations"] if tie.get("SubnetId") == subnet]
    return str(ties[0]["RouteTableAssociationId"]) if ties else None


def _only(kind: str, ids: Sequence[str]) -> str | None:
    if len(ids) > 1:
        told = f"aws: {', '.join(ids)} all carry the tags of one {kind}"
        raise SkyrigError(told, hint="remove those that are not used")
    return ids[0] if ids else None


def _tags(inputs: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a create was to give. Without the stack's own they would find anything."""
    tags = {str(name): str(value) for name, value in (inputs.get("tags") or {}).items()}
    if "skyrig-stack" not in tags:
        raise SkyrigError("aws: a thing without tags was being made, and cannot be told from others")
    return tags


def _state(described: Mapping[str, Any]) -> str:
    state = described.get("State")
    return str(state.get("Name") if isinstance(state, Mapping) else state)
