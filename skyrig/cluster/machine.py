"""What each node of a cluster on a cloud is: chosen once, written into the stack's config, never worked out again.

The local cloud has none of it. The keys of `KEYS` are config keys of the project, read and written by `shape`.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from skyrig.cluster import keys
from skyrig.cluster.keys import NAMESPACE, Key
from skyrig.errors import BadInput

CAPACITIES = ("on-demand", "spot", "reservation", "block", "flex")
"""Ways to pay for a node: by the hour; by the hour until the cloud takes it back; out of a reservation; out of a block
that is paid for (AWS); queued for, and bounded in time (Google Cloud's flex start)."""

NETWORK_TIERS = ("standard", "best")
DISK_TIERS = ("low", "medium", "high", "ultra", "best")
EGRESSES = ("nat", "head-proxy", "public-outbound", "none")
"""How nodes reach the internet: through a NAT gateway; through a proxy on the head; each by an address of its own, at
which nothing is let in; not at all."""

DEFAULT_DISK_GB = 256

MAIN, ONDEMAND, SPOT = "main", "ondemand", "spot"
"""Groups of nodes: the one that nodes are in where nothing else is said, and two that have a market of their own,
whatever the rest of the cluster is paid for by. All others have the cluster's."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_TYPE = r"[A-Za-z0-9][A-Za-z0-9._:$-]*"
_PLACE = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*"  # contexts of kubeconfigs are called what their makers like
_BUCKET = re.compile(
    r"(s3|gs)://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]|/subscriptions/[!-~]{1,400}/containers/[a-z0-9-]{3,63}"
)
_LABEL = re.compile(r"([A-Za-z][A-Za-z0-9_.:/-]{0,62})=([^=\n]{0,63})")


@frozen
class Capacity:
    """How the nodes are paid for: one of CAPACITIES. `id` names the reservation or block; for `flex` it is the longest
    run in seconds."""

    kind: str = "on-demand"
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}" if self.id else self.kind


@frozen
class Machine:
    """One node's machine, the same for all nodes of a cluster. `region`, `zone`, `instance_type`, `image` and `network`
    are names of the cloud ("": none, its default, one of its own); `disk_gb` the boot disk in GiB; `ssh_from` networks
    that may log in (CIDR); `account` is who pays: an AWS account, a Google Cloud project, an Azure subscription;
    `reaches` are urls of buckets (on Azure ids of containers) that the nodes open by what they are, without keys;
    `pods` is a JSON object with what is asked of nodes that are pods, and was found out for them; "": nothing."""

    instance_type: str = ""
    region: str = ""
    zone: str = ""
    capacity: Capacity = field(factory=Capacity)
    network_tier: str = "standard"
    image: str = ""
    disk_gb: int = DEFAULT_DISK_GB
    disk_tier: str = "medium"
    labels: tuple[tuple[str, str], ...] = ()
    network: str = ""
    egress: str = ""
    ssh_from: tuple[str, ...] = ()
    account: str = ""
    reaches: tuple[str, ...] = ()
    pods: str = ""

    def __str__(self) -> str:
        """Type and place in words."""
        spot = " spot" if self.capacity.kind == "spot" else ""
        return f"{self.instance_type}{spot} in {self.zone or self.region}"


KEYS: Mapping[str, Key] = {
    "instanceType": Key("", "clouds: type of each node, as the cloud calls it"),
    "region": Key("", "clouds: region of the nodes"),
    "zone": Key("", "clouds: zone of the nodes; all of a cluster share one"),
    "capacity": Key(
        "on-demand", "clouds: on-demand, spot, reservation/ID, block/ID (AWS), flex/SECONDS (Google Cloud)"
    ),
    "networkTier": Key("standard", "clouds: standard, or best: the fabric of the type"),
    "image": Key("", "clouds: image of the nodes; empty is the newest one for their type"),
    "diskSize": Key(DEFAULT_DISK_GB, "clouds: boot disk of each node in GiB"),
    "diskTier": Key("medium", "clouds: " + ", ".join(DISK_TIERS)),
    "labels": Key([], "clouds: NAME=VALUE on everything that is made"),
    "network": Key("", "clouds: an existing network to use; empty makes one"),
    "egress": Key("", "clouds: how nodes reach the internet: " + ", ".join(EGRESSES) + "; empty: what fits best"),
    "sshFrom": Key([], "clouds: networks that may log in, CIDR"),
    "account": Key("", "clouds: the account, project or subscription that pays; no other one is ever changed"),
    "reaches": Key([], "clouds: urls of the cloud's own buckets that the nodes read and write"),
    "podConfig": Key("", "clusters of pods: what is asked of the pods, and was found out for them, as a JSON object"),
}


def to_config(machine: Machine) -> dict[str, Any]:
    """Config values by key."""
    return {
        "instanceType": machine.instance_type,
        "region": machine.region,
        "zone": machine.zone,
        "capacity": str(machine.capacity),
        "networkTier": machine.network_tier,
        "image": machine.image,
        "diskSize": machine.disk_gb,
        "diskTier": machine.disk_tier,
        "labels": [f"{name}={value}" for name, value in machine.labels],
        "network": machine.network,
        "egress": machine.egress,
        "sshFrom": list(machine.ssh_from),
        "account": machine.account,
        "reaches": list(machine.reaches),
        "podConfig": machine.pods,
    }


def from_config(given: Mapping[str, Any]) -> Machine:
    """The machine in config values, of which each key of KEYS has one. Bad values are BadInput."""
    return Machine(
        instance_type=keys.word("instanceType", given["instanceType"], _TYPE, "the name of a type"),
        region=keys.word("region", given["region"], _PLACE, "the name of a region"),
        zone=keys.word("zone", given["zone"], _TYPE, "the name of a zone"),
        capacity=_capacity(str(given["capacity"])),
        network_tier=keys.one_of("networkTier", given["networkTier"], NETWORK_TIERS),
        image=keys.word("image", given["image"], r"[!-~]{1,512}", "the name of an image"),
        disk_gb=keys.whole("diskSize", given["diskSize"], "GiB", digits=5),
        disk_tier=keys.one_of("diskTier", given["diskTier"], DISK_TIERS),
        labels=tuple(sorted(_label(entry) for entry in keys.texts("labels", given["labels"], "a list of NAME=VALUE"))),
        network=keys.word("network", given["network"], r"[!-~]{1,512}", "the name of a network"),
        egress=keys.one_of("egress", given["egress"], ("", *EGRESSES)),
        ssh_from=tuple(_network(entry) for entry in keys.texts("sshFrom", given["sshFrom"], "a list of networks")),
        account=keys.word("account", given["account"], _NAME, "an account, project or subscription"),
        reaches=tuple(sorted(_bucket(entry) for entry in keys.texts("reaches", given["reaches"], "a list of urls"))),
        pods=_pods(given["podConfig"]),
    )


def _bucket(text: str) -> str:
    if not _BUCKET.fullmatch(text):
        raise BadInput(
            f"{NAMESPACE}:reaches: {text!r} is no bucket's url",
            hint="s3://NAME, gs://NAME or the id of an Azure container is wanted",
        )
    return text


def _pods(value: Any) -> str:
    """The object in one form of JSON, however the config has it."""
    try:
        found = json.loads(value) if isinstance(value, str) and value else value
    except json.JSONDecodeError as error:
        raise BadInput(f"{NAMESPACE}:podConfig: no JSON: {error}") from error
    if found and not isinstance(found, Mapping):
        raise BadInput(f"{NAMESPACE}:podConfig: a JSON object is wanted")
    return json.dumps(found, sort_keys=True, separators=(",", ":")) if found else ""


def capacity(text: str) -> Capacity:
    """How nodes are paid for, from `spot` or `reservation/ID`; ValueError, one clause, where it is none."""
    kind, _, name = text.partition("/")
    if kind not in CAPACITIES:
        raise ValueError(f"{text!r} is not known: one of {', '.join(CAPACITIES)} is wanted")
    if kind in ("reservation", "block") and not re.fullmatch(r"[!-~]{1,512}", name):
        raise ValueError(f"{text!r}: {kind}/ID is wanted")
    if kind == "flex" and not re.fullmatch(r"[0-9]{1,7}", name):
        raise ValueError(f"{text!r}: flex/SECONDS is wanted, the longest run")
    if kind in ("on-demand", "spot") and name:
        raise ValueError(f"{text!r}: {kind} takes no name")
    return Capacity(kind, name)


def paid_in(capacity: Capacity, group: str) -> Capacity:
    """How the nodes of a group are paid for in a cluster whose nodes are paid for by `capacity`."""
    return {ONDEMAND: Capacity(), SPOT: Capacity("spot")}.get(group, capacity)


def group_of(capacity: Capacity, paid: Capacity) -> str:
    """The group for a node that is paid for as `paid` says, in a cluster whose nodes are paid for by `capacity`."""
    if paid == capacity or paid.id or capacity.kind not in ("on-demand", "spot"):
        return MAIN
    return SPOT if paid.kind == "spot" else ONDEMAND


def _capacity(text: str) -> Capacity:
    try:
        return capacity(text)
    except ValueError as error:
        raise BadInput(f"{NAMESPACE}:capacity: {error}") from error


def _label(entry: str) -> tuple[str, str]:
    match = _LABEL.fullmatch(entry)
    if not match:
        raise BadInput(f"{NAMESPACE}:labels: {entry!r}: NAME=VALUE is wanted, each of 63 characters at most")
    return match[1], match[2]


def _network(entry: str) -> str:
    try:
        return str(ipaddress.ip_network(entry))
    except ValueError as error:
        raise BadInput(f"{NAMESPACE}:sshFrom: {error}", hint="for instance 203.0.113.7/32") from error
