"""The Cluster component: nodes, their network and the client's key, described in one output."""

from typing import Any, TypedDict

import attrs
import pulumi

from components.key import ClientKey
from components.local.cloud import LocalCloud
from components.wanted import WantedNodeArgs
from skyrig.cluster.description import ClusterDescription


class ClusterArgs(TypedDict):
    """What a cluster is made from. All of it shapes the graph, so it is plain and known at preview."""

    stack: str
    """Name of the stack, which is the cluster's name."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes in rank order; the first is the head."""
    accelerator: str
    """Name of the accelerators of each node; empty for CPU nodes."""
    accelerator_count: int
    """Number of accelerators of each node."""
    cpus: int
    """Declared cores of each node; 0 is what the machine has."""
    isolation: str
    """Isolation of local nodes: auto, namespaces or plain."""
    ports: list[str]
    """Open ports of the head, as sorted ranges."""
    power: str
    """Wanted power of the nodes: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts nodes that stopped themselves."""


class Cluster(pulumi.ComponentResource):
    """A cluster of a stack: what `pulumi up` makes and the launcher uses."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material (skyrig/cluster/description.py)."""

    private_key: pulumi.Output[str]
    """The client's private key, OpenSSH text; a secret."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:Cluster", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = ClientKey(f"{name}-key", args["stack"], child)
        cloud = LocalCloud(
            f"{name}-local",
            {
                "stack": args["stack"],
                "nodes": args["nodes"],
                "accelerator": args["accelerator"],
                "accelerator_count": args["accelerator_count"],
                "cpus": args["cpus"],
                "isolation": args["isolation"],
                "ports": args["ports"],
                "power": args["power"],
                "starts": args["starts"],
                "public_key": key.public_key,
            },
            child,
        )
        self.description = cloud.description
        self.private_key = key.private_key
        self.register_outputs({"description": self.description})

    def exported(self) -> dict[str, Any]:
        """The stack output `cluster`: the description field by field, in which `ssh.private_key` alone is secret."""
        fields: dict[str, Any] = {
            field.name: self.description[field.name] for field in attrs.fields(ClusterDescription)
        }
        fields["ssh"] = {"public_key": self.description["ssh"]["public_key"], "private_key": self.private_key}
        return fields
