"""What clusters of every cloud are asked for."""

import sys
from typing import TypedDict

import pulumi

from skyrig.cluster import ports as port_ranges

if sys.version_info >= (3, 11):
    from typing import NotRequired
else:
    from typing_extensions import NotRequired


class WantedNodeArgs(TypedDict):
    """One wanted node of a cluster."""

    id: str
    """Stable id, never reused for another role."""
    group: str
    """Group that the node belongs to."""
    version: int
    """Version of that group's definition; another version is another node."""
    ends_at: NotRequired[int]
    """When its cluster's time to live is over, in seconds since the epoch; not there, or 0, where it lives without end.
    Read at the first boot: another end changes no node that is there."""


class MachineArgs(TypedDict):
    """What each node is, the same for all nodes of a cluster. Names are the cloud's own; "" leaves it to the component
    where that is said. All of it shapes the graph, so it is plain."""

    instance_type: str
    """Type of each node."""
    region: str
    """Region of the nodes."""
    zone: str
    """Zone of the nodes; all of a cluster share one."""
    capacity: str
    """on-demand, spot, reservation/ID, block/ID or flex/SECONDS."""
    network_tier: str
    """standard, or best: the fabric of the type."""
    image: str
    """Image of the nodes; "" is the newest one that fits the type. docker:IMAGE is a container on that one."""
    disk_gb: int
    """Boot disk of each node in GiB."""
    disk_tier: str
    """low, medium, high, ultra or best."""
    labels: dict[str, str]
    """The user's own labels on everything that is made."""
    network: str
    """An existing network to use; "" makes one."""
    egress: str
    """nat, head-proxy, public-outbound or none; "" is what fits best (skyrig.catalog.egress)."""
    ssh_from: list[str]
    """Networks that may log in, CIDR. Never empty."""
    account: str
    """Account, project or subscription that pays. No other one is ever read, changed or destroyed."""
    reaches: list[str]
    """Urls of the cloud's own buckets that the nodes read and write by what they are."""
    pods: NotRequired[str]
    """A JSON object with what is asked of nodes that are pods; not there, or "": nothing."""


class ClusterArgs(TypedDict):
    """What a cluster is made from. All of it shapes the graph, so it is plain and known at preview."""

    cloud: str
    """Where the nodes are: a name in `skyrig.cluster.clouds.CLOUDS`."""
    stack: str
    """Name of the stack, which is the cluster's name."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes in rank order; the first is the head."""
    accelerator: str
    """Name of the accelerators of each node; empty for CPU nodes."""
    accelerator_count: int
    """Number of accelerators of each node."""
    cpus: int
    """Declared cores of each local node; 0 is what the machine has."""
    isolation: str
    """Isolation of local nodes: auto, namespaces or plain."""
    ports: list[str]
    """Open ports of the head, as sorted ranges."""
    balancer: NotRequired[str]
    """cloud: the cloud's own balancer is before these ports; not there, or "": none."""
    scheduler: NotRequired[str]
    """slurm: jobs go to the Slurm that the head has; the cloud's own name: to the queue that it has; not there, or "":
    to Skyrig's keeper."""
    power: str
    """Wanted power of the nodes: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts nodes that stopped themselves."""
    owner: str
    """Who made the cluster; a tag."""
    task: str
    """The task that the cluster was made for; a tag."""
    managed: NotRequired[str]
    """The managed job that owns the cluster, NUMBER-INDEX; a tag. Not there, or "": none does."""
    machine: MachineArgs
    """What each node is on a cloud."""


def balanced(args: ClusterArgs) -> list[int]:
    """The ports that the cloud's own balancer is before; none where there is no balancer."""
    return port_ranges.numbers(args["ports"]) if args.get("balancer") else []


class CloudArgs(ClusterArgs):
    """What a cloud's component is made from; each takes what it needs of it."""

    public_key: pulumi.Input[str]
    """Public key that may log in from the start."""
