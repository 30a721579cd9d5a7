"""From what local nodes say of themselves to the cluster description: a pure function."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from skyrig.cluster.description import Accelerators, ClusterDescription, Node, Power, SshAccess

POWER = Power(
    stop="what runs is told to end, then killed; the node's files stay on this machine",
    end="`shutdown now` in the node",
    start="the same node, with its files but those in /tmp; the client's port may be another",
    stop_itself="shutdown now",
    end_itself='touch "${SKYRIG_NODE_LOCK%/*}/ended" && shutdown now',
)


def describe(
    name: str,
    level: str,
    nodes: Sequence[Mapping[str, Any]],
    public_key: str,
    records: Path,
    ports: Sequence[str] = (),
    spot: Collection[str] = (),
    place: tuple[str, str] = ("", ""),
) -> dict[str, Any]:
    """The description, as plain data without the private key, of cluster `name` whose `nodes` are given in rank order
    as `start` answered them, and whose head has these `ports` open. `spot` are the ids of nodes that count as spot,
    `place` is their region and zone."""
    described = ClusterDescription(
        name=name,
        cloud="local",
        region=place[0],
        zone=place[1],
        nodes=tuple(_node(rank, node, spot) for rank, node in enumerate(nodes)),
        ssh=SshAccess(public_key=public_key),
        records=records.as_uri(),
        isolation=level,
        ports=tuple(ports),
        egress="head-proxy" if level == "namespaces" else "public-outbound",
        power=POWER,
    )
    return described.to_json()


def _node(rank: int, said: Mapping[str, Any], spot: Collection[str]) -> Node:
    accelerators = said["accelerators"]
    return Node(
        id=said["node_id"],
        rank=rank,
        host=said["host"],
        port=int(said["port"]),
        address=said["address"],
        user=said["user"],
        host_key=said["host_key"],
        incarnation=said["incarnation"],
        alias=said["alias"],
        internal_port=int(said["internal_port"]),
        accelerators=Accelerators(
            name=accelerators["name"], count=int(accelerators["count"]), declared=bool(accelerators["declared"])
        ),
        cpus=float(said["cpus"]),
        memory_gb=float(said["memory_gb"]),
        boot=said.get("boot", ""),  # a node that an older Skyrig made knows neither
        power=said.get("power", "up"),
        spot=said["node_id"] in spot,
    )
