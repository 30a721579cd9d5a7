"""A group of local nodes that are made alike."""

import sys
from typing import TypedDict

import pulumi

from components.local.addresses import address
from components.local.node import LocalNode, LocalNodeArgs
from components.wanted import WantedNodeArgs

if sys.version_info >= (3, 11):
    from typing import NotRequired
else:
    from typing_extensions import NotRequired


class LocalNodeGroupArgs(TypedDict):
    """What a group of local nodes is made from."""

    stack: str
    """Name of the stack."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes, all of this group."""
    level: str
    """Level of isolation: namespaces or plain."""
    network: pulumi.Input[str]
    """Incarnation of the network that the nodes are in."""
    authorized_key: pulumi.Input[str]
    """Public key that may log in from the start."""
    accelerator: str
    """Name of the declared accelerators; empty on CPU nodes."""
    accelerator_count: int
    """Number of declared accelerators of each node."""
    cpus: int
    """Declared cores of each node; 0 is what the machine has."""
    power: str
    """Wanted power of the nodes: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts nodes that stopped themselves."""
    zone: NotRequired[str]
    """Zone of the nodes; not there, or "", where nobody has said which."""
    spot: NotRequired[bool]
    """Whether they are spot; not there: they are not."""
    image: NotRequired[str]
    """Folder of the version of an image that they begin with; not there, or "", where they begin with nothing."""


class LocalNodeGroup(pulumi.ComponentResource):
    """Nodes of one group. A node is known by its id alone: adding or removing one leaves the others as they are.

    `nodes` are its nodes by id.
    """

    def __init__(self, name: str, args: LocalNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:LocalNodeGroup", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.nodes: dict[str, LocalNode] = {}
        for wanted in args["nodes"]:
            node_id = wanted["id"]
            self.nodes[node_id] = LocalNode(f"{name}-{node_id}", _node_args(args, wanted), child)
        self.register_outputs({"node_ids": list(self.nodes)})


def alias(stack: str, node_id: str) -> str:
    """Name of a node inside its cluster; a host name, whatever the stack is called."""
    return "".join(letter if letter.isalnum() else "-" for letter in f"{stack}-{node_id}".lower())[-63:].strip("-")


def _node_args(args: LocalNodeGroupArgs, wanted: WantedNodeArgs) -> LocalNodeArgs:
    made: LocalNodeArgs = {
        "stack": args["stack"],
        "node_id": wanted["id"],
        "group": wanted["group"],
        "version": wanted["version"],
        "level": args["level"],
        "alias": alias(args["stack"], wanted["id"]),
        "address": address(wanted["id"]) if args["level"] == "namespaces" else "127.0.0.1",
        "network": args["network"],
        "authorized_key": args["authorized_key"],
        "accelerator": args["accelerator"],
        "accelerator_count": args["accelerator_count"],
        "cpus": args["cpus"],
        "power": args["power"],
        "starts": args["starts"],
    }
    if zone := args.get("zone", ""):
        made["zone"] = zone
    if args.get("spot", False):
        made["spot"] = True
    if image := args.get("image", ""):
        made["image"] = image
    return made
