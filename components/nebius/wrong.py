"""What Nebius cannot make of a cluster's arguments, by property path. A pure function."""

import ipaddress

from components.nebius.fabric import fabrics_in
from components.wanted import ClusterArgs, balanced
from skyrig.catalog import balancers, disks, instances
from skyrig.catalog.instances import InstanceType
from skyrig.cluster import ports as port_ranges
from skyrig.cluster.machine import capacity
from skyrig.errors import BadInput

MOST_PORTS = 64
"""How many open ports a head has at most: each rule of a security group names eight of them."""


def wrong(args: ClusterArgs) -> dict[str, str]:
    """What is wrong, by property path; empty where all can be made."""
    machine = args["machine"]
    told: dict[str, str] = {}
    if not machine["account"]:
        told["machine.account"] = "is empty: a project is wanted"
    if not machine["region"]:
        told["machine.region"] = "is empty: a region is wanted"
    told.update(_reached(args))
    if said := balancers.wrong("nebius", len(balanced(args))) if balanced(args) else "":  # it has none
        told["balancer"] = said
    if machine["reaches"]:
        told["machine.reaches"] = "nodes have no identity of their own on Nebius: buckets are opened with keys"
    if not args["nodes"]:
        told["nodes"] = "are none"
    try:
        kind = instances.find("nebius", machine["instance_type"])
        paid = capacity(machine["capacity"])
    except BadInput as error:
        return {**told, "machine.instance_type": str(error)}
    except ValueError as error:
        return {**told, "machine.capacity": str(error)}
    if paid.kind not in ("on-demand", "spot", "reservation"):
        told["machine.capacity"] = f"Nebius sells nothing by {paid.kind}: on-demand, spot or reservation/ID is wanted"
    elif paid.kind != "on-demand" and not kind.accelerator:
        told["machine.capacity"] = f"{kind.name} is sold on demand alone: it has no GPUs"
    if not disks.boot("nebius", kind.name, machine["disk_tier"]):
        told["machine.disk_tier"] = f"there is no boot disk of tier {machine['disk_tier']}"
    told.update(_fabric(args, kind))
    return told


def _reached(args: ClusterArgs) -> dict[str, str]:
    """What is wrong with the ways in and out."""
    machine = args["machine"]
    told: dict[str, str] = {}
    if not machine["ssh_from"]:
        told["machine.ssh_from"] = "is empty: nobody could log in"
    for network in map(ipaddress.ip_network, machine["ssh_from"]):
        if network.prefixlen == 0:
            told["machine.ssh_from"] = f"{network} is everybody: name your own networks"
        elif network.version == 6:
            told["machine.ssh_from"] = f"{network} cannot log in: Nebius has IPv4 addresses alone"
    if machine["egress"] == "head-proxy":
        told["machine.egress"] = "head-proxy is not made on Nebius: nat, public-outbound or none"
    if len(port_ranges.numbers(args["ports"])) > MOST_PORTS:
        told["ports"] = f"are more than {MOST_PORTS}, which is what security groups of a head can name"
    return told


def _fabric(args: ClusterArgs, kind: InstanceType) -> dict[str, str]:
    """What does not go with InfiniBand; a zone is a name of a fabric, for regions have no other zones."""
    machine = args["machine"]
    if machine["network_tier"] != "best" or kind.fabric == "none":
        return {"machine.zone": "Nebius' regions have no zones"} if machine["zone"] else {}
    there = fabrics_in(kind, machine["region"])
    if not there:
        others = ", ".join(sorted(kind.facts.get("fabrics", {}))) or "no region"
        return {"machine.region": f"no InfiniBand fabric of {machine['region']} has {kind.name}: it is in {others}"}
    if machine["zone"] and machine["zone"] not in there:
        return {"machine.zone": f"{machine['zone']} is no fabric of {kind.name} there: {', '.join(there)}"}
    return {}
