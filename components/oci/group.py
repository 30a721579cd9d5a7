"""A group of instances that are made alike."""

from typing import TypedDict

import pulumi
from pulumi_oci.core.instance import Instance

from components.hostkey import HostKey
from components.oci import disks, instance
from components.oci.user_data import metadata
from components.wanted import WantedNodeArgs
from skyrig.catalog import fabrics, instances
from skyrig.clouds.oci.names import NODE, machine_name
from skyrig.cluster.machine import capacity


class OciNodeGroupArgs(TypedDict):
    """What a group of instances is made from."""

    cluster: str
    """Beginning of all names."""
    account: str
    """Compartment of the instances."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes, all of this group."""
    instance_type: str
    """Type of the catalog: a shape, or a size of one."""
    zone: str
    """Availability domain of the instances."""
    capacity: str
    """on-demand, spot or reservation/OCID."""
    network_tier: str
    """standard, or best: with the type's fabric."""
    image: str
    """What was asked for: an OCID, "" or docker:IMAGE."""
    image_id: pulumi.Input[str]
    """OCID of the image that they boot from."""
    disk_gb: int
    """Boot volume in GB."""
    disk_tier: str
    """low, medium, high, ultra or best (data/oci/disks.json)."""
    labels: dict[str, str]
    """Free-form tags."""
    public: pulumi.Input[str]
    """OCID of the public subnet, which the head is in."""
    private: pulumi.Input[str]
    """OCID of the subnet of all others."""
    all_public: bool
    """Whether every node has a public address, at which nothing is let in (egress public-outbound)."""
    has_names: bool
    """Whether nodes get names in the VCN."""
    nodes_group: pulumi.Input[str]
    """OCID of the security group of all nodes."""
    head_group: pulumi.Input[str]
    """OCID of the one of the head."""
    rdma: pulumi.Input[str] | None
    """OCID of the compute cluster that they are in."""
    authorized_key: pulumi.Input[str]
    """Public key that may log in from the start."""
    head: str
    """Id of the cluster's head; it may be of another group."""


class OciNodeGroup(pulumi.ComponentResource):
    """Instances of one group. A node is known by its id alone: adding or removing one leaves the others as they are.

    `nodes` are its instances and `host_keys` their keys, by node id.
    """

    def __init__(self, name: str, args: OciNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:OciNodeGroup", name, {}, opts)
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
    name: str, args: OciNodeGroupArgs, wanted: WantedNodeArgs, key: HostKey, opts: pulumi.ResourceOptions
) -> Instance:
    kind, paid = instances.find("oci", args["instance_type"]), capacity(args["capacity"])
    machine = machine_name(args["cluster"], wanted["id"], wanted["version"])
    labels = {**args["labels"], NODE: wanted["id"]}
    is_head = wanted["id"] == args["head"]
    public = is_head or args["all_public"]
    groups = [args["nodes_group"], *([args["head_group"]] if is_head else [])]
    fabric = fabrics.of(kind, args["network_tier"]).kind
    subnet = args["public"] if public else args["private"]
    return Instance(
        name,
        display_name=machine,
        compartment_id=args["account"],
        availability_domain=args["zone"],
        **instance.shaped(kind.name),
        **instance.paid(paid),
        **instance.kept_up(paid),
        agent_config=instance.agent(fabric),
        compute_cluster_id=args["rdma"],
        create_vnic_details=instance.vnic(subnet, groups, public, machine if args["has_names"] else "", labels),
        source_details={
            "source_type": "image",
            "source_id": args["image_id"],
            "boot_volume_size_in_gbs": str(args["disk_gb"]),
            "boot_volume_vpus_per_gb": str(disks.vpus(kind.name, args["disk_tier"])),
        },
        instance_options={"are_legacy_imds_endpoints_disabled": True},
        metadata=metadata(kind, fabric, machine, args["image"], key, args["authorized_key"], wanted.get("ends_at", 0)),
        preserve_boot_volume=False,
        freeform_tags=labels,
        opts=pulumi.ResourceOptions.merge(opts, _options()),
    )


def _options() -> pulumi.ResourceOptions:
    """User data is read at the first boot alone, and the newest image moves on: neither makes another instance. Whole
    machines take their time."""
    return pulumi.ResourceOptions(
        additional_secret_outputs=["metadata"],
        ignore_changes=["metadata", "sourceDetails.sourceId"],
        custom_timeouts=pulumi.CustomTimeouts(create="60m", delete="60m"),
    )
