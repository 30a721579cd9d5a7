"""A group of nodes on Azure that are made alike."""

from typing import TypedDict

import pulumi

from components.azure.node import AzureNode
from components.azure.shared import AzureSharedArgs
from components.tags import NODE
from components.wanted import MachineArgs, WantedNodeArgs


class AzureNodeGroupArgs(TypedDict):
    """What a group of nodes is made from."""

    stack: str
    """Name of the cluster."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes, all of this group."""
    head: str
    """Id of the cluster's head, which has a public address; it need not be in this group."""
    everyone_public: bool
    """Whether every node has a public address, and not the head alone."""
    machine: MachineArgs
    """What each node is. Labels, network, egress and ssh_from are not looked at."""
    fabric: str
    """Fabric of the nodes (skyrig.catalog.fabrics): none where it is not asked for."""
    shared: AzureSharedArgs
    """What the nodes are put into."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts nodes that stopped themselves."""
    tags: dict[str, str]
    """Tags on everything; each node's things have its id besides."""


class AzureNodeGroup(pulumi.ComponentResource):
    """Nodes of one group. A node is known by its id alone: adding or removing one leaves the others as they are.

    `nodes` are its nodes by id.
    """

    def __init__(self, name: str, args: AzureNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AzureNodeGroup", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.nodes: dict[str, AzureNode] = {}
        for wanted in args["nodes"]:
            head = wanted["id"] == args["head"]
            self.nodes[wanted["id"]] = AzureNode(
                f"{name}-{wanted['id']}-v{wanted['version']}",
                {
                    "stack": args["stack"],
                    "id": wanted["id"],
                    "version": wanted["version"],
                    "head": head,
                    "public": head or args["everyone_public"],
                    "machine": args["machine"],
                    "fabric": args["fabric"],
                    "shared": args["shared"],
                    "power": args["power"],
                    "starts": args["starts"],
                    "ends_at": wanted.get("ends_at", 0),
                    "tags": {**args["tags"], NODE: wanted["id"]},
                },
                child,
            )
        self.register_outputs({"node_ids": list(self.nodes)})
