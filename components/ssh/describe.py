"""From what is known of machines that are lent to a cluster to its description: pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.wanted import CloudArgs
from skyrig.catalog import facts
from skyrig.cluster.description import Accelerators, ClusterDescription, Node, Power, SshAccess

EGRESS = "public-outbound"
"""How the machines reach the internet is their own matter; that they do is what is taken for granted."""


def describe(args: CloudArgs, made: Sequence[Mapping[str, Any]], public_key: str, records: str) -> dict[str, Any]:
    """The description, as plain data without the private key, of a cluster whose nodes have the machines `made`, in
    rank order."""
    ids = {machine["way"]["name"]: wanted["id"] for wanted, machine in zip(args["nodes"], made, strict=True)}
    nodes = [_node(rank, args["nodes"][rank]["id"], machine, ids) for rank, machine in enumerate(made)]
    gates = {gate.id: gate for machine in made for gate in _gates(machine["way"], ids)}
    described = ClusterDescription(
        name=args["stack"],
        cloud="ssh",
        region=args["machine"]["region"],
        nodes=tuple(nodes),
        gates=tuple(gates[name] for name in sorted(gates)),
        ssh=SshAccess(public_key=public_key),
        records=records,
        ports=tuple(args["ports"]),
        egress=EGRESS,
        power=power(),
        tags=dict(args["machine"]["labels"]),
    )
    return described.to_json()


def power() -> Power:
    """What Skyrig can do to a machine of the user's own: give it back."""
    said = facts.of("ssh", "power")
    return Power(end=said["end"], end_itself=said["end_itself"], refused=said["refused"]["on-demand"])


def _node(rank: int, node_id: str, made: Mapping[str, Any], ids: Mapping[str, str]) -> Node:
    """A node; numbers come from the engine as floats."""
    way, kind = made["way"], made["kind"]
    return Node(
        id=node_id,
        rank=rank,
        host=way["host"],
        port=int(way["port"]),
        address=way["address"],
        user=way["user"],
        host_key=way["host_key"],
        incarnation=made["lease"],
        jump=_jump(way, ids),
        internal_port=int(way["internal_port"]),
        accelerators=Accelerators(name=kind["accelerator"], count=int(kind["accelerator_count"])),
        cpus=float(kind["cpus"]),
        memory_gb=float(kind["memory_gib"]),
        boot=made["boot"],
    )


def _jump(way: Mapping[str, Any], ids: Mapping[str, str]) -> str:
    """What a machine is reached through: a node of the same cluster, where it has that machine, else a gate."""
    before = way.get("before")  # the engine leaves out what is nothing
    return ids.get(before["name"], gate_id(before["name"])) if before else ""


def gate_id(name: str) -> str:
    """What a machine is called in a description that is no node of the cluster."""
    return f"gate-{name}"


def _gates(way: Mapping[str, Any], ids: Mapping[str, str]) -> list[Node]:
    """The machines before one that are no nodes of the cluster."""
    found = []
    while (before := way.get("before")) is not None:
        way = before
        if way["name"] not in ids:
            found.append(
                Node(
                    id=gate_id(way["name"]),
                    rank=-1,
                    host=way["host"],
                    port=int(way["port"]),
                    address=way["address"],
                    user=way["user"],
                    host_key=way["host_key"],
                    incarnation=f"{way['host']}:{int(way['port'])}",
                    jump=_jump(way, ids),
                    internal_port=int(way["internal_port"]),
                )
            )
    return found
