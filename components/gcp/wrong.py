"""What Google Cloud cannot make of a cluster's arguments, by property path. A pure function."""

import ipaddress

from components.gcp import disks, scheduling
from components.gcp.image import boot_image, container
from components.wanted import ClusterArgs, balanced
from skyrig.catalog import balancers, facts, instances, power
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.machine import Capacity, capacity, paid_in
from skyrig.errors import BadInput


def wrong(args: ClusterArgs) -> dict[str, str]:
    """What is wrong, by property path; empty where all can be made."""
    machine = args["machine"]
    told: dict[str, str] = {}
    for name in ("account", "region", "zone"):
        if not machine[name]:
            told[f"machine.{name}"] = f"is empty: {'a project' if name == 'account' else f'a {name}'} is wanted"
    if machine["zone"] and not machine["zone"].startswith(f"{machine['region']}-"):
        told["machine.zone"] = f"{machine['zone']} is not in {machine['region']}"
    if not machine["ssh_from"]:
        told["machine.ssh_from"] = "is empty: nobody could log in"
    for network in map(ipaddress.ip_network, machine["ssh_from"]):
        if network.prefixlen == 0:
            told["machine.ssh_from"] = f"{network} is everybody: name your own networks"
        elif network.version == 6:
            told["machine.ssh_from"] = f"{network} cannot log in: the head has an IPv4 address alone"
    if machine["egress"] == "head-proxy":
        told["machine.egress"] = "head-proxy is not made on Google Cloud: nat, public-outbound or none"
    if said := balancers.wrong("gcp", len(balanced(args))):
        told["balancer"] = said
    if not args["nodes"]:
        told["nodes"] = "are none"
    try:
        kind = instances.find("gcp", machine["instance_type"])
        paid = capacity(machine["capacity"])
    except BadInput as error:
        return {**told, "machine.instance_type": str(error)}
    except ValueError as error:
        return {**told, "machine.capacity": str(error)}
    told.update(_type(args, kind))
    told.update(_capacity(args, kind, paid))
    if "slice_hosts" in kind.facts:
        told.update(_slice(args, kind, paid))
    return told


def _type(args: ClusterArgs, kind: InstanceType) -> dict[str, str]:
    """What does not go with the type itself."""
    machine = args["machine"]
    told: dict[str, str] = {}
    if "unsupported" in kind.facts:
        return {"machine.instance_type": f"{kind.name}: {kind.facts['unsupported']}"}
    if kind.fabric != "tpu-ici" and not disks.disk_type(kind.name, machine["disk_tier"]):
        told["machine.disk_tier"] = f"{kind.name} has no boot disks of tier {machine['disk_tier']}"
    needed = facts.of("gcp", "fabric").get(kind.fabric, {}).get("needs_image", "")
    own = machine["image"] and not container(machine["image"])
    if needed and machine["network_tier"] == "best" and not own:
        told["machine.image"] = f"{kind.fabric} on {kind.name} needs {needed}; or take network_tier standard"
    return told


def _capacity(args: ClusterArgs, kind: InstanceType, paid: Capacity) -> dict[str, str]:
    """What does not go with how the machines are paid for."""
    told: dict[str, str] = {}
    if paid.kind == "block":
        told["machine.capacity"] = "blocks are of AWS: reservation/NAME or flex/SECONDS is wanted"
    shortest, longest = scheduling.FLEX_SECONDS
    if paid.kind == "flex" and not shortest <= int(paid.id) <= longest:
        told["machine.capacity"] = f"flex start runs from {shortest} to {longest} seconds, not {paid.id}"
    elif paid.kind == "flex" and "dws-flex" not in kind.facts.get("capacity", []):
        told["machine.capacity"] = f"{kind.name} is not sold by flex start"
    refused = power.of_all(kind, [paid_in(paid, node["group"]) for node in args["nodes"]] or [paid]).refused
    if args["power"] == "stopped" and refused:
        told["power"] = refused
    return told


def _slice(args: ClusterArgs, kind: InstanceType, paid: Capacity) -> dict[str, str]:
    """What does not go with slices of TPUs."""
    told: dict[str, str] = {}
    hosts = kind.facts["slice_hosts"]
    for group in dict.fromkeys(node["group"] for node in args["nodes"]):
        count = sum(node["group"] == group for node in args["nodes"])
        if count % hosts:
            told["nodes"] = f"a slice {kind.name} has {hosts} hosts; {count} nodes of group {group} fill none"
    if args["machine"]["image"] and boot_image(kind, args["machine"]["image"]).startswith("projects/"):
        told["machine.image"] = "a TPU VM has a runtime version, for instance v2-alpha-tpuv5-lite, and no image"
    if balanced(args):
        told["balancer"] = "Google Cloud puts no balancer before TPU VMs"
    if paid.kind == "reservation" and len(paid.id.split("/")) > 1:
        told["machine.capacity"] = "reservations of TPUs are named by their own project and zone alone"
    return told
