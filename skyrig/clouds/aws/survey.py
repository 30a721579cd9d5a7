"""A cluster on AWS as its machines, their templates, their network and their user data tell it: all that its stack's
config said, and the keys that only its state had."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import field, frozen

from skyrig.catalog import egress, facts, instances
from skyrig.clouds.adopter import Survey
from skyrig.clouds.aws import balancers, leftovers, machines, session, userdata
from skyrig.clouds.cloud import TaggedStack
from skyrig.cluster import owner, ports
from skyrig.cluster.description import Accelerators
from skyrig.cluster.machine import Capacity, Machine, group_of
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.errors import BadInput, SkyrigError

_UP = ("pending", "running")
_THERE = (*_UP, "stopping", "stopped")
_HEAD = "The head of a Skyrig cluster"
"""How the template of the head is described (components/aws/template.py)."""
_FIREWALL_HEAD = "-firewall-head"
"""How the name of the head's security group ends (components/aws/firewall.py)."""

Described = Mapping[str, Any]


@frozen
class _Template:
    """A launch template: its id, whether it is the head's, and what it launches."""

    id: str
    head: bool
    data: Described


@frozen
class _Seen:
    """Everything that was asked for: machines by node id, and what they stand on."""

    nodes: dict[str, Described]
    templates: list[_Template] = field(factory=list)
    groups: list[Described] = field(factory=list)
    networks: list[Described] = field(factory=list)
    subnets: list[Described] = field(factory=list)
    gateways: list[Described] = field(factory=list)
    buckets: tuple[str, ...] = ()
    told: dict[str, userdata.Told] = field(factory=dict)


def survey(seen: TaggedStack) -> Survey:
    """What a cluster is, by its machines alone. BadInput where it has no machine, or two for one node."""
    found = _asked(seen)
    head = _head(found)
    ranked = [head, *sorted((each for each in found.nodes if each != head), key=_order)]
    first = found.nodes[head]
    kind = instances.find("aws", str(first["InstanceType"]))
    stopped = all(each["State"]["Name"] not in _UP for each in found.nodes.values())
    tags, paid = machines.tags_of(first), _paid(found, first)
    shape = Shape(
        cloud="aws",
        nodes=tuple(WantedNode(each, group_of(paid, _paid(found, found.nodes[each]))) for each in ranked),
        accelerators=Accelerators(name=kind.accelerator, count=-int(-kind.accelerator_count // 1)),
        ports=_ports(found),
        balancer="cloud" if _is_balanced(seen) else "",
        power="stopped" if stopped else "up",
        owner=tags.get(machines.OWNER, ""),
        task=tags.get("skyrig-task", ""),
        machine=_machine(seen, found, first, len(ranked)),
    )
    keys = {node: told.host_key for node, told in found.told.items() if told.host_key is not None}
    clients = tuple(dict.fromkeys(key for told in found.told.values() for key in told.client_keys))
    dark = sorted(set(found.nodes) - set(keys))
    notes = [f"the host key of {', '.join(dark)} cannot be read from the user data there"] if dark else []
    secrets = {node: {"userDataBase64": told.whole} for node, told in found.told.items()}
    return Survey(shape, keys, secrets, clients, tuple(notes))


def _asked(seen: TaggedStack) -> _Seen:
    """Ask for everything at once."""
    there = [each for each in machines.instances(seen.stack, seen.region) if each["State"]["Name"] in _THERE]
    nodes: dict[str, Described] = {}
    for each in there:
        tags = machines.tags_of(each)
        if not tags.get(machines.NODE) or not owner.same(tags.get(machines.OWNER, ""), seen.owner):
            continue
        if tags[machines.NODE] in nodes:
            both = f"{nodes[tags[machines.NODE]]['InstanceId']} and {each['InstanceId']}"
            raise BadInput(f"{both} are both node {tags[machines.NODE]} of {seen.stack}", hint="end one of them there")
        nodes[tags[machines.NODE]] = each
    if not nodes:
        raise BadInput(f"{seen.stack} has no machine on {seen.place}", hint="`down --by-tag` takes away what is left")
    with ThreadPoolExecutor(max_workers=8) as pool:
        templates = pool.submit(_templates, seen)
        groups = pool.submit(_listed, seen, "describe_security_groups", "SecurityGroups")
        networks = pool.submit(_listed, seen, "describe_vpcs", "Vpcs")
        subnets = pool.submit(_listed, seen, "describe_subnets", "Subnets")
        gateways = pool.submit(_listed, seen, "describe_nat_gateways", "NatGateways")
        buckets = pool.submit(_reached, seen)
        told = dict(zip(nodes, pool.map(lambda each: _told(seen.region, each), nodes.values()), strict=True))
        return _Seen(
            nodes,
            templates.result(),
            groups.result(),
            networks.result(),
            subnets.result(),
            gateways.result(),
            buckets.result(),
            {node: said for node, said in told.items() if said is not None},
        )


def _listed(seen: TaggedStack, call: str, name: str) -> list[Described]:
    key = "Filter" if call == "describe_nat_gateways" else "Filters"
    wanted = {key: [{"Name": f"tag:{machines.STACK}", "Values": [seen.stack]}]}
    with session.asking(f"looking for {name}"):
        there = list(getattr(session.client("ec2", seen.region), call)(**wanted)[name])
    mine = [each for each in there if owner.same(machines.tags_of(each).get(machines.OWNER, ""), seen.owner)]
    return [each for each in mine if each.get("State") not in ("deleted", "deleting", "failed")]


def _templates(seen: TaggedStack) -> list[_Template]:
    ec2, found = session.client("ec2", seen.region), []
    for each in _listed(seen, "describe_launch_templates", "LaunchTemplates"):
        with session.asking("looking into launch templates"):
            [version] = ec2.describe_launch_template_versions(
                LaunchTemplateId=each["LaunchTemplateId"], Versions=["$Latest"]
            )["LaunchTemplateVersions"]
        is_head = str(version.get("VersionDescription", "")).startswith(_HEAD)
        found.append(_Template(str(each["LaunchTemplateId"]), is_head, version["LaunchTemplateData"]))
    return found


def _told(region: str, machine: Described) -> userdata.Told | None:
    """What a machine was told at its first boot; None where that may not be asked."""
    try:
        with session.asking(f"user data of {machine['InstanceId']}"):
            said = session.client("ec2", region).describe_instance_attribute(
                InstanceId=machine["InstanceId"], Attribute="userData"
            )
    except SkyrigError:
        return None  # it is told which keys are not known
    return userdata.read(str(said.get("UserData", {}).get("Value", "")))


def _reached(seen: TaggedStack) -> tuple[str, ...]:
    """Urls of the buckets that the nodes open, out of the policy of their role."""
    iam, urls = session.client("iam", seen.region), []
    for stack, role in leftovers.roles(seen.region):
        if stack != seen.stack or not owner.same(role.owner, seen.owner):
            continue
        with session.asking(f"policies of {role.id}"):
            for name in iam.list_role_policies(RoleName=role.id)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role.id, PolicyName=name)["PolicyDocument"]
                whole = [each for each in document["Statement"] if each.get("Sid") == "Buckets"]
                urls += [f"s3://{arn.rpartition(':')[2]}" for each in whole for arn in each["Resource"]]
    return tuple(dict.fromkeys(urls))


def _head(found: _Seen) -> str:
    """The node that was launched from the head's template; else the first."""
    heads = {each.id for each in found.templates if each.head}
    mine = [node for node, each in found.nodes.items() if _template_of(each) in heads]
    return min(mine or found.nodes, key=_order)


def _template_of(machine: Described) -> str:
    return machines.tags_of(machine).get("aws:ec2launchtemplate:id", "")


def _order(node: str) -> tuple[str, int, str]:
    """n2 before n10."""
    match = re.fullmatch(r"(.*?)([0-9]*)", node)
    assert match
    return match[1], int(match[2] or 0), node


def _head_group(found: _Seen) -> Described:
    named = [each for each in found.groups if machines.tags_of(each).get("Name", "").endswith(_FIREWALL_HEAD)]
    return named[0] if named else {}


def _ports(found: _Seen) -> tuple[str, ...]:
    """What is open to everyone at the head."""
    rules = [each for each in _head_group(found).get("IpPermissions", ()) if each.get("FromPort") is not None]
    ranges = [
        f"{rule['FromPort']}-{rule['ToPort']}" if rule["FromPort"] != rule["ToPort"] else str(rule["FromPort"])
        for rule in rules
        if any(each.get("Description") == "open to everyone" for each in rule.get("IpRanges", ()))
    ]
    return ports.read(",".join(ranges))


def _ssh_from(found: _Seen) -> tuple[str, ...]:
    """Networks that may log in at the head."""
    rules = [rule for rule in _head_group(found).get("IpPermissions", ()) if rule.get("FromPort") == 22]
    named = [
        str(each.get("CidrIp") or each.get("CidrIpv6"))
        for rule in rules
        for each in (*rule.get("IpRanges", ()), *rule.get("Ipv6Ranges", ()))
        if each.get("Description") == "SSH"
    ]
    return tuple(dict.fromkeys(named))


def _machine(seen: TaggedStack, found: _Seen, first: Described, nodes: int) -> Machine:
    own = bool(found.networks)
    data = next((each.data for each in found.templates if each.id == _template_of(first)), {})
    zones = [str(each["AvailabilityZone"]) for each in found.subnets] or [str(first["Placement"]["AvailabilityZone"])]
    volume = _volume(seen.region, first)
    container = next((told.container for told in found.told.values() if told.container), "")
    return Machine(
        instance_type=str(first["InstanceType"]),
        region=seen.region,
        zone=zones[0],
        capacity=_paid(found, first),
        network_tier="best" if _has_efa(data) else "standard",
        image=f"docker:{container}" if container else str(data.get("ImageId") or first["ImageId"]),
        disk_gb=int(volume.get("Size", 0)) or Machine().disk_gb,
        disk_tier=disk_tier(volume),
        labels=_labels(machines.tags_of(first)),
        network="" if own else str(first.get("VpcId", "")),
        egress=_egress(found, first, nodes, own=own),
        ssh_from=_ssh_from(found),
        account=seen.account,
        reaches=found.buckets,
    )


def _paid(found: _Seen, machine: Described) -> Capacity:
    data = next((each.data for each in found.templates if each.id == _template_of(machine)), {})
    return _capacity(machine, data)


def _is_balanced(seen: TaggedStack) -> bool:
    """Whether a balancer of AWS's is before the cluster."""
    left = balancers.of_stack(seen.stack, seen.region)
    return any(each.kind == balancers.BALANCER and owner.same(each.owner, seen.owner) for each in left)


def _capacity(machine: Described, data: Described) -> Capacity:
    """How a machine is paid for, by itself or by the template that it was launched from."""
    market = str(machine.get("InstanceLifecycle") or data.get("InstanceMarketOptions", {}).get("MarketType") or "")
    if market == "spot":
        return Capacity("spot")
    said = data.get("CapacityReservationSpecification") or machine.get("CapacityReservationSpecification") or {}
    reserved = str(said.get("CapacityReservationTarget", {}).get("CapacityReservationId", ""))
    return Capacity("block" if market == "capacity-block" else "reservation", reserved) if reserved else Capacity()


def _has_efa(data: Described) -> bool:
    return any(str(each.get("InterfaceType", "")).startswith("efa") for each in data.get("NetworkInterfaces", ()))


def _labels(tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The user's own labels: neither ours nor AWS's."""
    own = {name: text for name, text in tags.items() if not name.startswith(("skyrig-", "aws:")) and name != "Name"}
    return tuple(sorted(own.items()))


def _egress(found: _Seen, first: Described, nodes: int, *, own: bool) -> str:
    """How nodes reach the internet; "" where it is what is chosen for so many nodes anyway."""
    others = [each for each in found.nodes.values() if each is not first]
    out = [rule for group in found.groups for rule in group.get("IpPermissionsEgress", ())]
    internet = any(each.get("CidrIp") == "0.0.0.0/0" for rule in out for each in rule.get("IpRanges", ()))
    if not internet:
        way = "none"
    elif found.gateways:
        way = "nat"
    else:
        way = "public-outbound" if own or all(each.get("PublicIpAddress") for each in others) else "nat"
    return "" if way == egress.default(nodes) else way


def _volume(region: str, machine: Described) -> Described:
    """The boot disk of a machine."""
    root = [each["Ebs"]["VolumeId"] for each in machine.get("BlockDeviceMappings", ())
            if each.get("DeviceName") == machine.get("RootDeviceName")]  # fmt: skip
    if not root:
        return {}
    with session.asking("looking at boot disks"):
        found: list[Described] = session.client("ec2", region).describe_volumes(VolumeIds=root)["Volumes"]
    return found[0] if found else {}


def disk_tier(volume: Described) -> str:
    """The tier whose disk is like this one: the same type, and the nearest IOPS that are no more than it has."""
    tiers: Mapping[str, Mapping[str, Any]] = facts.of("aws", "disks")["tiers"]
    alike: Sequence[str] = [tier for tier, said in tiers.items() if said["type"] == volume.get("VolumeType")]
    has = int(volume.get("Iops") or 0)
    fitting = [tier for tier in alike if int(tiers[tier].get("iops", 0)) <= has]
    return max(fitting or alike or [Machine().disk_tier], key=lambda tier: int(tiers[tier].get("iops", 0)))
