"""What is wrong with the arguments of a cluster on Azure, by property path. Pure functions."""

import re
from collections.abc import Iterator

from components.azure import image, subnets
from components.azure.disks import LEAST_GB, MOST_GB, STORAGE
from components.azure.placing import AVAILABILITY_SET, MOST, placing
from components.wanted import ClusterArgs, MachineArgs, balanced
from skyrig.catalog import balancers, instances
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.azure.names import subscription_of
from skyrig.cluster.machine import Capacity, capacity, paid_in
from skyrig.errors import BadInput

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_REGION = re.compile(r"[a-z][a-z0-9]{2,40}")
_TAG = re.compile(r"[^<>%&\\?/]{1,512}")
_MOST_TAGS = 45  # of 50: four are ours


def wrong(args: ClusterArgs) -> dict[str, str]:
    """What is wrong, by property path; nothing where the cluster can be made."""
    found: dict[str, str] = {}
    said = balancers.wrong("azure", len(balanced(args)))
    for path, reason in (*_of_machine(args["machine"]), *_of_type(args), *([("balancer", said)] if said else [])):
        found.setdefault(path, reason)
    return found


def _of_machine(machine: MachineArgs) -> Iterator[tuple[str, str]]:
    if not _GUID.fullmatch(machine["account"]):
        yield "machine.account", "the id of a subscription is wanted: `az account show --query id`"
    if not _REGION.fullmatch(machine["region"]):
        yield "machine.region", "the name of a region is wanted, for instance eastus"
    if machine["zone"] not in ("", "1", "2", "3"):
        yield "machine.zone", "1, 2, 3, or nothing"
    if machine["disk_tier"] not in STORAGE:
        yield "machine.disk_tier", "ultra disks cannot be boot disks: best is Premium SSD"
    if not LEAST_GB <= machine["disk_gb"] <= MOST_GB:
        yield "machine.disk_gb", f"{LEAST_GB} to {MOST_GB} GiB"
    if not machine["ssh_from"] or any(network.endswith("/0") for network in machine["ssh_from"]):
        yield "machine.ssh_from", "networks are wanted from which you log in, and not the whole internet"
    if machine["egress"] == "head-proxy":
        yield "machine.egress", "head-proxy is not made on Azure: nat, public-outbound or none"
    if machine["network"] and not subnets.parse(machine["network"], machine["account"]):
        yield "machine.network", "a subnet of this subscription is wanted: GROUP/NETWORK/SUBNET, or its id"
    bad = [name for name in machine["labels"] if not _TAG.fullmatch(name)]
    if bad or len(machine["labels"]) > _MOST_TAGS:
        said = f"no tags of Azure: {', '.join(bad)}" if bad else f"{_MOST_TAGS} at most"
        yield "machine.labels", said


def _of_type(args: ClusterArgs) -> Iterator[tuple[str, str]]:
    machine = args["machine"]
    try:
        kind = instances.find("azure", machine["instance_type"])
    except BadInput as error:
        yield "machine.instance_type", str(error)
        return
    found = image.find(kind, machine["image"])
    if found is None:
        yield "machine.image", "no URN and no id of an image" if machine["image"] else f"name one: {kind.name} has none"
    elif found.driver_extension and machine["egress"] == "none" and len(args["nodes"]) > 1:
        yield "machine.egress", f"the driver of {kind.name} is installed from the internet, which none cannot reach"
    try:
        paid = capacity(machine["capacity"])
    except ValueError as error:
        yield "machine.capacity", str(error)
        return
    yield from _of_capacity(kind, paid, machine)
    put = placing(kind, machine["network_tier"], paid)
    if len(args["nodes"]) > MOST[put]:
        yield "nodes", f"{MOST[put]} at most in one {put.replace('-', ' ')}"
    spot = [node["id"] for node in args["nodes"] if paid_in(paid, node["group"]).kind == "spot"]
    if put == AVAILABILITY_SET and spot:
        yield "nodes", f"{spot[0]} is spot, and an availability set, which InfiniBand needs, takes none: capacity spot"
    if put == AVAILABILITY_SET and machine["zone"]:
        yield "machine.zone", "an availability set, which InfiniBand needs, is in no zone: leave it empty"


def _of_capacity(kind: InstanceType, paid: Capacity, machine: MachineArgs) -> Iterator[tuple[str, str]]:
    path = "machine.capacity"
    if paid.kind in ("block", "flex"):
        yield path, f"{paid.kind} is not sold on Azure: on-demand, spot or reservation/ID"
    if paid.kind != "reservation":
        return
    if "/capacityreservationgroups/" not in paid.id.lower() or subscription_of(paid.id) != machine["account"].lower():
        yield path, "reservation/ID wants the id of a capacity reservation group of this subscription"
    elif not kind.facts.get("reservable", True):
        yield path, f"{kind.name} takes no capacity reservation"
