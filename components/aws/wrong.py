"""What is wrong with a cluster that is wanted on AWS, by property path. Pure functions."""

import ipaddress
import re
from collections.abc import Mapping

from components.aws import disks, efa, image
from components.wanted import ClusterArgs, MachineArgs, balanced
from skyrig.catalog import balancers, instances, power
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.machine import Capacity, capacity, paid_in
from skyrig.errors import BadInput

_REGION = re.compile(r"[a-z]{2,3}(-[a-z]+)+-\d")
_EGRESSES = ("", "nat", "public-outbound", "none")


def wrong(args: ClusterArgs) -> Mapping[str, str]:
    """All that can be said before AWS is asked."""
    machine = args["machine"]
    found = {
        "machine.region": "" if _REGION.fullmatch(machine["region"]) else f"{machine['region']!r} is no region of AWS",
        "machine.zone": _zone(machine),
        "machine.account": ""
        if re.fullmatch(r"\d{12}|", machine["account"])
        else f"{machine['account']!r}: an account has 12 digits",
        "machine.image": image.wrong(machine["image"]),
        "machine.disk_gb": disks.wrong(machine["disk_tier"], machine["disk_gb"]),
        "machine.network": _network(machine["network"]),
        "machine.egress": _egress(machine["egress"]),
        "machine.ssh_from": _ssh_from(machine["ssh_from"]),
        "machine.labels": _labels(machine["labels"]),
        "balancer": balancers.wrong("aws", len(balanced(args))),
        **_type(machine),
    }
    if not found.get("machine.instance_type") and not found["machine.capacity"]:
        kind = instances.find("aws", machine["instance_type"])
        found["nodes"] = next((said for each in _paid(args) if (said := _capacity(kind, str(each)))), "")
    if args["power"] == "stopped" and not found.get("machine.instance_type") and not found["machine.capacity"]:
        kind = instances.find("aws", machine["instance_type"])
        found["power"] = power.of_all(kind, _paid(args)).refused
    return {path: said for path, said in found.items() if said}


def _paid(args: ClusterArgs) -> list[Capacity]:
    """How the nodes are paid for, each by its group."""
    paid = capacity(args["machine"]["capacity"])
    return [paid_in(paid, node["group"]) for node in args["nodes"]]


def _type(machine: MachineArgs) -> dict[str, str]:
    try:
        kind = instances.find("aws", machine["instance_type"])
    except BadInput as error:
        return {"machine.instance_type": str(error)}
    unknown = efa.wanted(kind, machine["network_tier"]) and not efa.known(kind)
    return {
        "machine.network_tier": f"network cards of {kind.name} are not known: only standard works" if unknown else "",
        "machine.capacity": _capacity(kind, machine["capacity"]),
    }


def _capacity(kind: InstanceType, text: str) -> str:
    try:
        wanted = capacity(text)
    except ValueError as error:
        return str(error)
    if wanted.kind == "flex":
        return f"{text!r} is Google Cloud's"
    if wanted.kind in ("reservation", "block") and not re.fullmatch(r"cr-[0-9a-f]{8,17}", wanted.id):
        return f"{wanted.id!r} is no capacity reservation: cr-... is wanted"
    classes = kind.facts.get("usage_classes")
    called = {"block": "capacity-block"}.get(wanted.kind, wanted.kind)
    if classes and called in ("on-demand", "spot", "capacity-block") and called not in classes:
        return f"{kind.name} is not sold as {called}"
    return ""


def _zone(machine: MachineArgs) -> str:
    if not machine["zone"]:
        return "a zone is wanted: all nodes of a cluster are in one"
    inside = machine["zone"].startswith(machine["region"]) and machine["zone"] != machine["region"]
    return "" if inside else f"{machine['zone']!r} is not in {machine['region'] or 'any region'}"


def _network(network: str) -> str:
    good = not network or re.fullmatch(r"vpc-[0-9a-f]{8,17}", network)
    return "" if good else f"{network!r} is no VPC: vpc-... is wanted"


def _egress(egress: str) -> str:
    if egress == "head-proxy":
        return "head-proxy is not made on AWS yet: nat, public-outbound or none"
    return "" if egress in _EGRESSES else f"{egress!r}: nat, public-outbound or none is wanted"


def _ssh_from(networks: list[str]) -> str:
    if not networks:
        return "nobody could log in: at least one network is wanted"
    try:
        wide = [each for each in networks if ipaddress.ip_network(each).prefixlen == 0]
    except ValueError as error:
        return str(error)
    return f"{', '.join(wide)} is everybody: name the networks that may log in" if wide else ""


def _labels(labels: dict[str, str]) -> str:
    taken = [name for name in labels if name.lower().startswith("aws:")]
    return f"{', '.join(taken)}: names that begin with aws: are AWS's own" if taken else ""
