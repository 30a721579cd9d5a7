"""A group of instances that are made alike."""

from typing import TypedDict

import pulumi
from pulumi_gcp.compute.instance import Instance

from components.gcp import disks, image, nics, scheduling
from components.gcp.metadata import SCOPE, metadata
from components.gcp.nics import FabricNicArgs
from components.hostkey import HostKey
from components.wanted import WantedNodeArgs
from skyrig.catalog import fabrics, instances
from skyrig.clouds.gcp.names import machine_name
from skyrig.cluster.machine import capacity


class GcpNodeGroupArgs(TypedDict):
    """What a group of instances is made from."""

    cluster: str
    """Beginning of all names, and network tag of all nodes."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes, all of this group."""
    instance_type: str
    """Machine type."""
    zone: str
    """Zone of the machines."""
    capacity: str
    """on-demand, spot, reservation/NAME or flex/SECONDS (600 to 604800)."""
    network_tier: str
    """standard, or best: with the software of the type's fabric."""
    image: str
    """Image; "" is the newest for the type. docker:IMAGE is a container on that one."""
    disk_gb: int
    """Boot disk in GiB."""
    disk_tier: str
    """low, medium, high, ultra or best (data/gcp/disks.json)."""
    labels: dict[str, str]
    """Labels of the machines and their disks."""
    subnetwork: pulumi.Input[str]
    """Link of the subnet of nic0."""
    fabric: list[FabricNicArgs]
    """Interfaces in the networks of the fabric."""
    placement: pulumi.Input[str] | None
    """Link of a placement policy."""
    email: pulumi.Input[str]
    """Service account that the machines act as."""
    authorized_key: pulumi.Input[str]
    """Public key that may log in from the start."""
    head: str
    """Id of the cluster's head, which has the network tag CLUSTER-head; it may be of another group."""
    address: pulumi.Input[str]
    """The head's public address."""
    public: bool
    """Whether every node has a public address, at which nothing is let in (egress public-outbound)."""


class GcpNodeGroup(pulumi.ComponentResource):
    """Instances of one group. A node is known by its id alone: adding or removing one leaves the others as they are.

    `nodes` are its instances and `host_keys` their keys, by node id.
    """

    def __init__(self, name: str, args: GcpNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpNodeGroup", name, {}, opts)
        self.nodes: dict[str, Instance] = {}
        self.host_keys: dict[str, HostKey] = {}
        child = pulumi.ResourceOptions(parent=self)
        for wanted in args["nodes"]:
            node = f"{wanted['id']}-v{wanted['version']}"
            key = HostKey(f"{name}-{node}-hostkey", node, child)
            self.host_keys[wanted["id"]] = key
            self.nodes[wanted["id"]] = _instance(f"{name}-{node}", args, wanted, key, child)
        self.register_outputs({"node_ids": list(self.nodes)})


def _instance(
    name: str, args: GcpNodeGroupArgs, wanted: WantedNodeArgs, key: HostKey, opts: pulumi.ResourceOptions
) -> Instance:
    kind = instances.find("gcp", args["instance_type"])
    paid = capacity(args["capacity"])
    machine = machine_name(args["cluster"], wanted["id"], wanted["version"])
    labels = {**args["labels"], "skyrig-node": wanted["id"]}
    is_head = wanted["id"] == args["head"]
    address = args["address"] if is_head else None
    fabric = fabrics.of(kind, args["network_tier"]).kind
    return Instance(
        name,
        name=machine,
        machine_type=kind.name,
        zone=args["zone"],
        boot_disk={
            "auto_delete": True,
            "initialize_params": {
                "image": image.boot_image(kind, args["image"]),
                "size": args["disk_gb"],
                "type": disks.disk_type(kind.name, args["disk_tier"]),
                "labels": labels,
            },
        },
        network_interfaces=nics.interfaces(args["subnetwork"], args["fabric"], address, args["public"]),
        scheduling=scheduling.scheduling(kind, paid, placed=args["placement"] is not None),
        reservation_affinity=scheduling.affinity(paid),
        resource_policies=args["placement"],
        service_account={"email": args["email"], "scopes": [SCOPE]},
        shielded_instance_config={
            "enable_secure_boot": image.secure_boot(kind),
            "enable_vtpm": True,
            "enable_integrity_monitoring": True,
        },
        metadata=metadata(kind, fabric, machine, args["image"], key, args["authorized_key"], wanted.get("ends_at", 0)),
        labels=labels,
        tags=[args["cluster"], f"{args['cluster']}-head"] if is_head else [args["cluster"]],
        opts=pulumi.ResourceOptions.merge(opts, _options()),
    )


def _options() -> pulumi.ResourceOptions:
    """User data is read at the first boot alone, an image family moves on, and the labels of a boot disk are those of
    its making: none of that makes another machine. Local disks come with the type and are not asked for."""
    made = [f"bootDisk.initializeParams.{what}" for what in ("image", "labels")]
    return pulumi.ResourceOptions(
        additional_secret_outputs=["metadata"],
        ignore_changes=["metadata", "scratchDisks", *made],
    )
