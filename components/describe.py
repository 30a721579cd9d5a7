"""From what is known of the machines of a cluster to its description: a pure function, the same for every cloud."""

from collections.abc import Sequence
from typing import Any, TypedDict

from components.wanted import ClusterArgs, balanced
from skyrig.catalog import costs, egress, fabrics, instances, power
from skyrig.clouds.azure.names import container_url
from skyrig.cluster.description import Accelerators, Bucket, ClusterDescription, Node, SshAccess
from skyrig.cluster.machine import capacity, paid_in

USER = "ubuntu"
"""Who logs in: the user that Ubuntu's cloud images are made for."""


class _SaidNode(TypedDict):
    """What is known of one node once it is made."""

    id: str
    """Its node id."""
    machine: str
    """The cloud's id of the machine behind it: another one is another machine."""
    boot: str
    """What changes whenever it was started anew; "" where nothing tells."""
    public: str
    """Its public address; "" where it has none."""
    private: str
    """Its address inside the cluster."""
    host_key: str
    """Its public host key, one OpenSSH line."""
    power: str
    """up or stopped."""


class SaidNode(_SaidNode, total=False):
    """The same, and what is known of few: most are Ubuntu's machines with an address."""

    user: str
    """Who logs in; USER by default."""
    port: int
    """Port at which the client reaches its SSH server; 22 by default."""
    internal_port: int
    """Port at which the other nodes reach it; 22 by default."""
    proxy: list[str]
    """The command whose input and output lead there; none by default."""
    jump: str
    """The machine through which it is reached; by default the head, for a node without a public address."""


def describe(
    cloud: str, args: ClusterArgs, said: Sequence[SaidNode], public_key: str, records: str, entrance: str = ""
) -> dict[str, Any]:
    """The description, as plain data without the private key, of a cluster whose nodes are `said` in rank order.
    `records` is the url of the folder or bucket for job records, `entrance` the address of the cloud's own balancer (""
    where there is none)."""
    machine = args["machine"]
    kind = instances.find(cloud, machine["instance_type"])
    way = machine["egress"] or egress.default(len(said), cloud)
    paid = [paid_in(capacity(machine["capacity"]), node["group"]) for node in args["nodes"]]
    spots = [each.kind == "spot" for each in paid]
    before = len(balanced(args))
    cost = costs.of_nodes(cloud, machine["region"], machine["instance_type"], spots, way, before)
    described = ClusterDescription(
        name=args["stack"],
        cloud=cloud,
        region=machine["region"],
        zone=machine["zone"],
        nodes=tuple(_node(rank, node, said[0], kind, spots[rank]) for rank, node in enumerate(said)),
        ssh=SshAccess(public_key=public_key),
        records=records,
        fabric=fabrics.of(kind, machine["network_tier"]),
        buckets=tuple(_bucket(each) for each in machine["reaches"]),
        ports=tuple(args["ports"]),
        entrance=entrance,
        hourly_cost=round(cost or 0.0, 6),
        egress=way,
        power=power.of_all(kind, paid),
        tags=dict(machine["labels"]),
    )
    return described.to_json()


def _bucket(reached: str) -> Bucket:
    """A bucket that the nodes open by what they are: its url, or on Azure the id of its container."""
    url = container_url(reached) if reached.startswith("/") else reached
    return Bucket(url.rpartition("/")[2], url, credentials="identity")


def _node(rank: int, said: SaidNode, head: SaidNode, kind: instances.InstanceType, spot: bool) -> Node:
    """A node without a public address is reached through the head."""
    return Node(
        id=said["id"],
        rank=rank,
        host=said["public"] or said["private"],
        port=int(said.get("port", 22)),
        address=said["private"],
        user=said.get("user", USER),
        host_key=said["host_key"],
        incarnation=said["machine"],
        jump=said.get("jump", "" if said["public"] or said is head or "proxy" in said else head["id"]),
        internal_port=int(said.get("internal_port", 22)),
        proxy=tuple(said.get("proxy", ())),
        accelerators=Accelerators(name=kind.accelerator, count=-int(-kind.accelerator_count // 1)),
        cpus=kind.cpus,
        memory_gb=kind.memory_gib,
        boot=said["boot"],
        power=said["power"],
        spot=spot,
    )
