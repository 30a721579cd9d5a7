"""What Oracle Cloud cannot make of a cluster's arguments, by property path. A pure function."""

import ipaddress

from components.oci import disks, image
from components.wanted import ClusterArgs, balanced
from skyrig.catalog import balancers, facts, instances, power
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.oci.shapes import is_bare_metal
from skyrig.cluster.machine import Capacity, capacity, paid_in
from skyrig.errors import BadInput

_LEAST_GB = 50
"""Boot volumes are no smaller (docs.oracle.com: custom boot volume sizes)."""


def wrong(args: ClusterArgs) -> dict[str, str]:
    """What is wrong, by property path; empty where all can be made."""
    machine = args["machine"]
    told: dict[str, str] = {}
    for name, what in (("account", "a compartment"), ("region", "a region"), ("zone", "an availability domain")):
        if not machine[name]:  # type: ignore[literal-required]
            told[f"machine.{name}"] = f"is empty: {what} is wanted"
    if not machine["ssh_from"]:
        told["machine.ssh_from"] = "is empty: nobody could log in"
    for network in map(ipaddress.ip_network, machine["ssh_from"]):
        if network.prefixlen == 0:
            told["machine.ssh_from"] = f"{network} is everybody: name your own networks"
        elif network.version == 6:
            told["machine.ssh_from"] = f"{network} cannot log in: the head has an IPv4 address alone"
    if machine["egress"] == "head-proxy":
        told["machine.egress"] = "head-proxy is not made on Oracle Cloud: nat, public-outbound or none"
    if before := len(balanced(args)):
        told["balancer"] = balancers.wrong("oci", before)
    if not args["nodes"]:
        told["nodes"] = "are none"
    try:
        kind = instances.find("oci", machine["instance_type"])
        paid = capacity(machine["capacity"])
    except BadInput as error:
        return {**told, "machine.instance_type": str(error)}
    except ValueError as error:
        return {**told, "machine.capacity": str(error)}
    return {**told, **_type(args, kind), **_capacity(args, kind, paid)}


def _type(args: ClusterArgs, kind: InstanceType) -> dict[str, str]:
    """What does not go with the type itself."""
    machine = args["machine"]
    told: dict[str, str] = {}
    if "unsupported" in kind.facts:
        return {"machine.instance_type": f"{kind.name}: {kind.facts['unsupported']}"}
    if not disks.vpus(kind.name, machine["disk_tier"]):
        told["machine.disk_tier"] = f"there are no boot volumes of tier {machine['disk_tier']}"
    if machine["disk_gb"] < _LEAST_GB:
        told["machine.disk_gb"] = f"{machine['disk_gb']}: boot volumes have {_LEAST_GB} GB at least"
    if said := image.wrong(machine["image"]):
        told["machine.image"] = said
    needed = facts.of("oci", "images")["needs_own"]
    wanted = needed.get(kind.accelerator) or (needed.get(kind.fabric) if machine["network_tier"] == "best" else "")
    if wanted and not image.own(machine["image"]):
        more = "" if kind.accelerator in needed else "; or take network_tier standard"
        told["machine.image"] = f"{kind.name} needs {wanted}{more}"
    return told


def _capacity(args: ClusterArgs, kind: InstanceType, paid: Capacity) -> dict[str, str]:
    """What does not go with how the machines are paid for."""
    told: dict[str, str] = {}
    all_paid = [paid_in(paid, node["group"]) for node in args["nodes"]] or [paid]
    if paid.kind in ("block", "flex"):
        told["machine.capacity"] = f"{paid.kind} is not sold by Oracle Cloud: on-demand, spot or reservation/OCID"
    elif any(each.kind == "spot" for each in all_paid) and is_bare_metal(kind.name):
        told["machine.capacity"] = f"{kind.name} is a whole machine, which is never preemptible: take on-demand"
    refused = power.of_all(kind, all_paid).refused
    if args["power"] == "stopped" and refused:
        told["power"] = refused
    return told
