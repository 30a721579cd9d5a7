"""A cluster on the local cloud: its network and its groups of nodes."""

import sys
from typing import Any, TypedDict

import pulumi

from components.local.addresses import address, addresses
from components.local.describe import describe
from components.local.group import LocalNodeGroup
from components.local.network import LocalNetwork
from components.local.ports import LocalPorts
from components.local.program import run
from components.refuse import refuse
from components.wanted import MachineArgs, WantedNodeArgs
from skyrig import places
from skyrig.catalog import balancers
from skyrig.cluster import sites
from skyrig.cluster.machine import Capacity, capacity, paid_in
from skyrig.images import here

if sys.version_info >= (3, 11):
    from typing import NotRequired
else:
    from typing_extensions import NotRequired


class LocalCloudArgs(TypedDict):
    """What a cluster on the local cloud is made from."""

    stack: str
    """Name of the stack."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes in rank order."""
    accelerator: str
    """Name of the declared accelerators; empty for CPU nodes."""
    accelerator_count: int
    """Number of declared accelerators of each node."""
    cpus: int
    """Declared cores of each node; 0 is what the machine has."""
    isolation: str
    """auto, namespaces or plain."""
    ports: list[str]
    """Open ports of the head, as sorted ranges."""
    balancer: NotRequired[str]
    """Anything but "" is refused: there is no balancer of this cloud's own."""
    power: str
    """Wanted power of the nodes: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts nodes that stopped themselves."""
    machine: NotRequired[MachineArgs]
    """Region, zone, capacity and image are heeded: "" is no place in particular, spot a mark, the image one that this
    machine has made; not there: none is said."""
    public_key: pulumi.Input[str]
    """Public key that may log in from the start."""


class LocalCloud(pulumi.ComponentResource):
    """Network and nodes of one stack on this machine."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: LocalCloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        if args.get("balancer"):
            refuse("LocalCloud", {"balancer": balancers.wrong("local", 1)})
        addresses(wanted["id"] for wanted in args["nodes"])
        super().__init__("skyrig:index:LocalCloud", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        stack = args["stack"]
        level = isolation_level(args["isolation"])
        region, zone = _place(args)
        network = LocalNetwork(f"{name}-network", stack, level, child)
        if args["ports"] and level == "namespaces":
            head = args["nodes"][0]["id"]
            LocalPorts(
                f"{name}-ports",
                {
                    "stack": stack,
                    "network": network.incarnation,
                    "head": head,
                    "address": address(head),
                    "ports": args["ports"],
                },
                child,
            )
        groups = {
            group: LocalNodeGroup(
                f"{name}-{group}",
                {
                    "stack": stack,
                    "nodes": [wanted for wanted in args["nodes"] if wanted["group"] == group],
                    "level": level,
                    "network": network.incarnation,
                    "authorized_key": args["public_key"],
                    "accelerator": args["accelerator"],
                    "accelerator_count": args["accelerator_count"],
                    "cpus": args["cpus"],
                    "power": args["power"],
                    "starts": args["starts"],
                    "zone": zone,
                    "spot": _is_spot(args, group),
                    "image": _image(args),
                },
                child,
            )
            for group in dict.fromkeys(wanted["group"] for wanted in args["nodes"])
        }
        spot = [wanted["id"] for wanted in args["nodes"] if _is_spot(args, wanted["group"])]
        said = [groups[wanted["group"]].nodes[wanted["id"]].node for wanted in args["nodes"]]
        self.description = pulumi.Output.all(args["public_key"], *said).apply(
            lambda known: describe(
                stack, level, known[1:], known[0], places.records(stack), args["ports"], spot, (region, zone)
            )
        )
        self.register_outputs({"description": self.description})


def _place(args: LocalCloudArgs) -> tuple[str, str]:
    """Region and zone of the nodes, "" where nobody has said; BadInput where there is no such place."""
    return sites.settled(args["machine"]["region"], args["machine"]["zone"]) if "machine" in args else ("", "")


def _is_spot(args: LocalCloudArgs, group: str) -> bool:
    """Whether nodes of a group are spot."""
    paid = capacity(args["machine"]["capacity"]) if "machine" in args else Capacity()
    return paid_in(paid, group).kind == "spot"


def _image(args: LocalCloudArgs) -> str:
    """Folder of the version of an image that the nodes begin with; "" where they begin with nothing."""
    named = args["machine"]["image"] if "machine" in args else ""
    return str(here.folder(named)) if named else ""


def isolation_level(wanted: str) -> str:
    """The level to use: `wanted`, or for "auto" the best that works here, found by trying it."""
    return str(run("probe", {"folder": str(places.home())})["level"]) if wanted == "auto" else wanted
