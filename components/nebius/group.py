"""A group of machines that are made alike."""

from typing import Any, TypedDict

import pulumi
import pulumi_nebius as nebius

from components.boot import BootArgs, user_data
from components.hostkey import HostKey
from components.nebius import image
from components.wanted import WantedNodeArgs
from skyrig.catalog import fabrics, instances
from skyrig.clouds.nebius.names import machine_name
from skyrig.cluster.machine import capacity


class NebiusNodeGroupArgs(TypedDict):
    """What a group of machines is made from."""

    cluster: str
    """Beginning of all names."""
    project: str
    """Project of the machines."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes, all of this group."""
    instance_type: str
    """Type: platform and preset, for instance gpu-h100-sxm_8gpu-128vcpu-1600gb."""
    capacity: str
    """on-demand, spot or reservation/ID."""
    network_tier: str
    """standard, or best: with the software of the type's fabric."""
    image: str
    """Image family; "" is the one for the type. docker:IMAGE is a container on that one."""
    disk_gb: int
    """Boot disk in GiB."""
    disk_tier: str
    """low, medium, high, ultra or best (data/nebius/disks.json)."""
    labels: dict[str, str]
    """Labels of the machines."""
    subnet: pulumi.Input[str]
    """Id of the subnet."""
    nodes_group: pulumi.Input[str]
    """Id of the security group of all nodes."""
    head_group: pulumi.Input[str]
    """Id of the security group of the head."""
    gpu_cluster: pulumi.Input[str] | None
    """Id of the GPU cluster that they join."""
    authorized_key: pulumi.Input[str]
    """Public key that may log in from the start."""
    head: str
    """Id of the cluster's head; it may be of another group."""
    allocation: pulumi.Input[str]
    """Id of the head's static public address."""
    public: bool
    """Whether every node has a public address, at which nothing is let in (egress public-outbound)."""


class NebiusNodeGroup(pulumi.ComponentResource):
    """Machines of one group. A node is known by its id alone: adding or removing one leaves the others as they are.

    `nodes` are its machines and `host_keys` their keys, by node id.
    """

    def __init__(self, name: str, args: NebiusNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:NebiusNodeGroup", name, {}, opts)
        self.nodes: dict[str, nebius.ComputeV1Instance] = {}
        self.host_keys: dict[str, HostKey] = {}
        child = pulumi.ResourceOptions(parent=self)
        for wanted in args["nodes"]:
            node = f"{wanted['id']}-v{wanted['version']}"
            key = HostKey(f"{name}-{node}-hostkey", node, child)
            self.host_keys[wanted["id"]] = key
            self.nodes[wanted["id"]] = _instance(f"{name}-{node}", args, wanted, key, child)
        self.register_outputs({"node_ids": list(self.nodes)})


def _instance(
    name: str, args: NebiusNodeGroupArgs, wanted: WantedNodeArgs, key: HostKey, opts: pulumi.ResourceOptions
) -> nebius.ComputeV1Instance:
    kind = instances.find("nebius", args["instance_type"])
    platform, _, preset = kind.name.partition("_")
    host = machine_name(args["cluster"], wanted["id"], wanted["version"])
    joined: dict[str, Any] = {} if args["gpu_cluster"] is None else {"gpu_cluster": {"id": args["gpu_cluster"]}}
    said: dict[str, Any] = {
        "name": host,
        "hostname": host,
        "parent_id": args["project"],
        "labels": {**args["labels"], "skyrig-node": wanted["id"]},
        "resources": {"platform": platform, "preset": preset},
        "boot_disk": image.boot_disk(host, kind, args["image"], args["disk_tier"], args["disk_gb"]),
        "network_interfaces": [_interface(args, wanted["id"])],
        "recovery_policy": "FAIL",  # a machine that stops itself stays stopped (data/nebius/power.json)
        "cloud_init_user_data": _told(args, wanted, host, key),
        **joined,
        **_paid(args["capacity"]),
    }
    return nebius.ComputeV1Instance(name, **said, opts=pulumi.ResourceOptions.merge(opts, _options()))


def _interface(args: NebiusNodeGroupArgs, node: str) -> dict[str, Any]:
    """The one interface: the head has the static address, others one of their own or none."""
    is_head = node == args["head"]
    groups = [args["nodes_group"], args["head_group"]] if is_head else [args["nodes_group"]]
    one: dict[str, Any] = {
        "name": "eth0",
        "subnet_id": args["subnet"],
        "ip_address": {},
        "security_groups": [{"id": group} for group in groups],
    }
    if is_head:
        one["public_ip_address"] = {"allocation_id": args["allocation"]}
    elif args["public"]:
        one["public_ip_address"] = {}
    return one


def _paid(text: str) -> dict[str, Any]:
    """How a machine is paid for."""
    paid = capacity(text)
    if paid.kind == "spot":
        return {"preemptible": {"on_preemption": "STOP"}}
    if paid.kind == "reservation":
        return {"reservation_policy": {"policy": "STRICT", "reservation_ids": [paid.id]}}
    return {}


def _told(args: NebiusNodeGroupArgs, wanted: WantedNodeArgs, host: str, key: HostKey) -> pulumi.Output[str]:
    """What the machine is told at its first boot; the host's private key is the secret in it."""
    kind = instances.find("nebius", args["instance_type"])

    def written(known: list[str]) -> str:
        told: BootArgs = {
            "cloud": "nebius",
            "host": host,
            "host_private_key": known[0],
            "host_public_key": known[1],
            "client_key": known[2],
            "fabric": fabrics.of(kind, args["network_tier"]).kind,
            "accelerator": kind.accelerator,
            "accelerator_count": kind.accelerator_count,
            "container": image.container(args["image"]),
            "ends_at": wanted.get("ends_at", 0),
        }
        return user_data(told)

    keys = pulumi.Output.all(key.private_key, key.public_key, args["authorized_key"])
    return pulumi.Output.secret(keys.apply(written))


def _options() -> pulumi.ResourceOptions:
    """User data is read at the first boot alone, an image family moves on, and machines are switched by NebiusPower:
    none of that makes another machine."""
    return pulumi.ResourceOptions(
        additional_secret_outputs=["cloudInitUserData"],
        ignore_changes=["cloudInitUserData", "bootDisk.managedDisk.spec.sourceImageFamily", "stopped"],
    )
