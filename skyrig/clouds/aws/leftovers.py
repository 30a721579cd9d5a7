"""What AWS still has under a stack's tag, what that costs, and its removal.

`KINDS` is in the order of removal: what others hang on comes later. All kinds are looked for at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from attrs import frozen

from skyrig.catalog import disks, facts, sources
from skyrig.clouds.aws import balancers, machines, session
from skyrig.clouds.cloud import Leftover, NotUsable

_OFF = ("terminated", "shutting-down", "deleted", "deleting")
_WAIT_S = 600
_OF_IMAGES = ("image", "snapshot")

Described = Mapping[str, Any]


def _free(described: Described, region: str) -> float | None:
    return 0.0


@frozen
class Kind:
    """One kind of thing: how EC2 lists it (`call`, the `listed` key of the answer, its `id` key), and how it goes."""

    name: str
    call: str
    listed: str
    id: str
    remove: Callable[[Any, Described], Any]
    hourly: Callable[[Described, str], float | None] = _free


def of_stack(stack: str, region: str) -> list[Leftover]:
    """All that is there under the stack's tag, in the order of removal."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        there = pool.submit(roles, region)
        return [*regional(stack, region), *(role for of, role in there.result() if of == stack)]


def regional(stack: str, region: str) -> list[Leftover]:
    """The same without roles, which are the same in all regions."""
    session.client("elbv2", region)  # clients are safe in threads, and their making is not
    with ThreadPoolExecutor(max_workers=8) as pool:
        balanced = pool.submit(balancers.of_stack, stack, region)
        found = pool.map(lambda kind: _found(kind, stack, region), KINDS)
        things = [_left(kind, each, region) for kind, listed in zip(KINDS, found, strict=True) for each in listed]
        return [*balanced.result(), *things]


def remove(stack: str, region: str, left: Sequence[Leftover]) -> None:
    """Remove it kind by kind, all of one kind at once. What AWS refuses to remove now stays, and is listed again."""
    ec2 = session.client("ec2", region)
    wanted = {each.id for each in left}
    balancers.remove(region, left)
    with ThreadPoolExecutor(max_workers=8) as pool:
        for kind in KINDS:
            there = _found(kind, stack, region) if any(one.kind == kind.name for one in left) else []
            list(pool.map(partial(_remove, kind, ec2), [each for each in there if each[kind.id] in wanted]))
    for role in left:
        if role.kind == ROLE:
            _remove_role(region, role.id)


def _remove(kind: Kind, ec2: Any, each: Described) -> None:
    from botocore.exceptions import ClientError, WaiterError

    with contextlib.suppress(ClientError, WaiterError):  # it is found again, and named
        kind.remove(ec2, each)


def _left(kind: Kind, each: Described, region: str) -> Leftover:
    made = next((each[key] for key in ("LaunchTime", "CreateTime") if key in each), None)
    return Leftover(
        kind.name,
        str(each[kind.id]),
        kind.hourly(each, region),
        machines.tags_of(each).get(machines.OWNER, ""),
        made.timestamp() if made is not None else None,
    )


def _found(kind: Kind, stack: str, region: str) -> list[Described]:
    if kind.call == "describe_instances":
        return [each for each in machines.instances(stack, region) if each["State"]["Name"] not in _OFF]
    ec2 = session.client("ec2", region)
    key = "Filter" if kind.call == "describe_nat_gateways" else "Filters"
    wanted = {key: [{"Name": "tag:skyrig-stack", "Values": [stack]}]}
    try:
        with session.asking(f"looking for {kind.name}s"):
            if ec2.can_paginate(kind.call):
                pages = list(ec2.get_paginator(kind.call).paginate(**wanted))
            else:
                pages = [getattr(ec2, kind.call)(**wanted)]
    except NotUsable:
        if kind.name not in _OF_IMAGES:
            raise
        return []  # who may not look for images has made none
    there = [each for page in pages for each in page[kind.listed]]
    return [each for each in there if each.get("State") not in _OFF and not _is_main(each)]


def _is_main(described: Described) -> bool:
    """The main route table of a VPC goes with it."""
    return any(each.get("Main") for each in described.get("Associations", ()))


def _instance_hourly(described: Described, region: str) -> float | None:
    if described["State"]["Name"] in ("stopped", "stopping"):
        return 0.0
    spot = described.get("InstanceLifecycle") == "spot"
    return sources.hourly("aws", region, described["InstanceType"], spot=spot)


def _volume_hourly(described: Described, region: str) -> float | None:
    return disks.hourly("aws", described["VolumeType"], described["Size"])


def _address_hourly(described: Described, region: str) -> float | None:
    return facts.of("aws", "egress").get("address_hourly")


def _nat_hourly(described: Described, region: str) -> float | None:
    return facts.of("aws", "egress").get("nat_hourly")


def _snapshot_hourly(described: Described, region: str) -> float | None:
    """As if the disk had been full."""
    return float(facts.of("aws", "imaging")["gb_month"]) * float(described["VolumeSize"]) / 730


def _deregister(ec2: Any, each: Described) -> None:
    """An AMI, and its snapshots, which have no tags yet where its making was cut off."""
    ec2.deregister_image(ImageId=each["ImageId"])
    for device in each.get("BlockDeviceMappings", ()):
        if snapshot := device.get("Ebs", {}).get("SnapshotId"):
            ec2.delete_snapshot(SnapshotId=snapshot)


def _end_instance(ec2: Any, each: Described) -> None:
    ec2.terminate_instances(InstanceIds=[each["InstanceId"]])
    waiter = ec2.get_waiter("instance_terminated")
    waiter.wait(InstanceIds=[each["InstanceId"]], WaiterConfig={"Delay": 5, "MaxAttempts": _WAIT_S // 5})


def _release(ec2: Any, each: Described) -> None:
    if "AssociationId" in each:
        ec2.disassociate_address(AssociationId=each["AssociationId"])
    ec2.release_address(AllocationId=each["AllocationId"])


def _delete_nat(ec2: Any, each: Described) -> None:
    ec2.delete_nat_gateway(NatGatewayId=each["NatGatewayId"])
    waiter = ec2.get_waiter("nat_gateway_deleted")
    waiter.wait(NatGatewayIds=[each["NatGatewayId"]], WaiterConfig={"Delay": 5, "MaxAttempts": _WAIT_S // 5})


def _delete_routes(ec2: Any, each: Described) -> None:
    for association in each.get("Associations", ()):
        ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
    ec2.delete_route_table(RouteTableId=each["RouteTableId"])


def _delete_gateway(ec2: Any, each: Described) -> None:
    for attached in each.get("Attachments", ()):
        ec2.detach_internet_gateway(InternetGatewayId=each["InternetGatewayId"], VpcId=attached["VpcId"])
    ec2.delete_internet_gateway(InternetGatewayId=each["InternetGatewayId"])


KINDS = (
    Kind("instance", "describe_instances", "Instances", "InstanceId", _end_instance, _instance_hourly),
    Kind("NAT gateway", "describe_nat_gateways", "NatGateways", "NatGatewayId", _delete_nat, _nat_hourly),
    Kind("address", "describe_addresses", "Addresses", "AllocationId", _release, _address_hourly),
    Kind("network interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId",
         lambda ec2, each: ec2.delete_network_interface(NetworkInterfaceId=each["NetworkInterfaceId"])),
    Kind("volume", "describe_volumes", "Volumes", "VolumeId",
         lambda ec2, each: ec2.delete_volume(VolumeId=each["VolumeId"]), _volume_hourly),
    Kind("VPC endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId",
         lambda ec2, each: ec2.delete_vpc_endpoints(VpcEndpointIds=[each["VpcEndpointId"]])),
    Kind("route table", "describe_route_tables", "RouteTables", "RouteTableId", _delete_routes),
    Kind("internet gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId", _delete_gateway),
    Kind("subnet", "describe_subnets", "Subnets", "SubnetId",
         lambda ec2, each: ec2.delete_subnet(SubnetId=each["SubnetId"])),
    Kind("security group", "describe_security_groups", "SecurityGroups", "GroupId",
         lambda ec2, each: ec2.delete_security_group(GroupId=each["GroupId"])),
    Kind("VPC", "describe_vpcs", "Vpcs", "VpcId", lambda ec2, each: ec2.delete_vpc(VpcId=each["VpcId"])),
    Kind("launch template", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId",
         lambda ec2, each: ec2.delete_launch_template(LaunchTemplateId=each["LaunchTemplateId"])),
    Kind("placement group", "describe_placement_groups", "PlacementGroups", "GroupName",
         lambda ec2, each: ec2.delete_placement_group(GroupName=each["GroupName"])),
    Kind("key pair", "describe_key_pairs", "KeyPairs", "KeyPairId",
         lambda ec2, each: ec2.delete_key_pair(KeyPairId=each["KeyPairId"])),
    Kind("image", "describe_images", "Images", "ImageId", _deregister),
    Kind("snapshot", "describe_snapshots", "Snapshots", "SnapshotId",
         lambda ec2, each: ec2.delete_snapshot(SnapshotId=each["SnapshotId"]), _snapshot_hourly),
)  # fmt: skip
"""What a cluster or an image is made of, and what they leave."""

ROLE = "role"
"""Kind of the one thing that is no region's."""


def roles(region: str) -> list[tuple[str, Leftover]]:
    """All roles of Skyrig, each with its stack: their names begin with `skyrig-`, and the tags of those alone are
    looked at."""
    iam = session.client("iam", region)
    with session.asking("looking for roles"):
        names = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
        ours = [name for name in names if name.startswith("skyrig-")]
        tags = [machines.tags_of(iam.list_role_tags(RoleName=name)) for name in ours]
    return [
        (said[machines.STACK], Leftover(ROLE, name, owner=said.get(machines.OWNER, "")))
        for name, said in zip(ours, tags, strict=True)
        if machines.STACK in said
    ]


def _remove_role(region: str, name: str) -> None:
    from botocore.exceptions import ClientError

    iam = session.client("iam", region)
    try:
        for profile in iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]:
            held = profile["InstanceProfileName"]
            iam.remove_role_from_instance_profile(InstanceProfileName=held, RoleName=name)
            iam.delete_instance_profile(InstanceProfileName=held)
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=name)
    except ClientError:
        return  # it is found again, and named
