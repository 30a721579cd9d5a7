"""A group of nodes that are the hosts of TPU slices."""

from collections.abc import Iterator, Sequence
from typing import TypedDict

import pulumi
from pulumi_gcp.tpu.v2_vm import V2Vm

from components.gcp import image
from components.gcp.metadata import SCOPE, metadata
from components.hostkey import HostKey
from components.wanted import WantedNodeArgs
from skyrig.catalog import instances
from skyrig.clouds.gcp.names import machine_name
from skyrig.cluster.machine import capacity


class GcpTpuGroupArgs(TypedDict):
    """What a group of TPU hosts is made from."""

    cluster: str
    """Beginning of all names, and network tag of all nodes."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes, all of this group; as many as its slices have hosts."""
    instance_type: str
    """Accelerator type of the slices, for instance v5litepod-16."""
    zone: str
    """Zone of the slices."""
    capacity: str
    """on-demand, spot or reservation/NAME."""
    image: str
    """Runtime version; "" is the one for the type. docker:IMAGE is a container on that one."""
    labels: dict[str, str]
    """Labels of the slices."""
    network: pulumi.Input[str]
    """Link of the network."""
    subnetwork: pulumi.Input[str]
    """Link of the subnet."""
    email: pulumi.Input[str]
    """Service account that the hosts act as."""
    authorized_key: pulumi.Input[str]
    """Public key that may log in from the start."""
    head: str
    """Id of the cluster's head: its slice has the network tag CLUSTER-head, and public addresses."""
    public: bool
    """Whether the other slices have public addresses too (egress public-outbound)."""


class GcpTpuGroup(pulumi.ComponentResource):
    """TPU slices, each of whose hosts is a node. A slice is one machine to Google Cloud: its hosts are made together,
    go together, and are told the same at their first boot, so that they have one host key.

    `slices` and `host_keys` are by the id of each slice's first node; `places` says by node id in which slice, and as
    which of its hosts, the node is.
    """

    def __init__(self, name: str, args: GcpTpuGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpTpuGroup", name, {}, opts)
        self.slices: dict[str, V2Vm] = {}
        self.host_keys: dict[str, HostKey] = {}
        self.places: dict[str, tuple[str, int]] = {}
        child = pulumi.ResourceOptions(parent=self)
        hosts = int(instances.find("gcp", args["instance_type"]).facts["slice_hosts"])
        for members in slices(args["nodes"], hosts):
            first = members[0]
            node = f"{first['id']}-v{first['version']}"
            key = HostKey(f"{name}-{node}-hostkey", node, child)
            self.host_keys[first["id"]] = key
            self.slices[first["id"]] = _slice(f"{name}-{node}", args, members, key, child)
            self.places.update({each["id"]: (first["id"], number) for number, each in enumerate(members)})
        self.register_outputs({"node_ids": list(self.places)})


def slices(nodes: Sequence[WantedNodeArgs], hosts: int) -> Iterator[Sequence[WantedNodeArgs]]:
    """Nodes by slice, in their order."""
    return (nodes[start : start + hosts] for start in range(0, len(nodes), hosts))


def _slice(
    name: str,
    args: GcpTpuGroupArgs,
    members: Sequence[WantedNodeArgs],
    key: HostKey,
    opts: pulumi.ResourceOptions,
) -> V2Vm:
    kind = instances.find("gcp", args["instance_type"])
    paid = capacity(args["capacity"])
    machine = machine_name(args["cluster"], members[0]["id"], members[0]["version"])
    is_head = args["head"] in [each["id"] for each in members]
    return V2Vm(
        name,
        name=machine,
        accelerator_type=kind.name,
        runtime_version=image.boot_image(kind, args["image"]),
        zone=args["zone"],
        description=f"Nodes {', '.join(each['id'] for each in members)}",
        network_config={
            "network": args["network"],
            "subnetwork": args["subnetwork"],
            "enable_external_ips": is_head or args["public"],
        },
        scheduling_config={"spot": paid.kind == "spot", "reserved": paid.kind == "reservation"},
        service_account={"email": args["email"], "scopes": [SCOPE]},
        metadata=metadata(
            kind, kind.fabric, machine, args["image"], key, args["authorized_key"], members[0].get("ends_at", 0)
        ),
        labels={**args["labels"], "skyrig-node": members[0]["id"]},
        tags=[args["cluster"], f"{args['cluster']}-head"] if is_head else [args["cluster"]],
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(additional_secret_outputs=["metadata"], ignore_changes=["metadata", "description"]),
        ),
    )
