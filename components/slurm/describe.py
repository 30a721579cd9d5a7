"""From what a login node tells to the cluster description: a pure function."""

from collections.abc import Mapping
from typing import Any

from skyrig.cluster.description import Accelerators, ClusterDescription, Node, Partition, Power, SshAccess

POWER = Power(refused="its nodes are Slurm's: a job takes them, and they are free again when it ends")


def describe(name: str, site: str, partition: str, head: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The description of cluster `name`, as plain data. Its nodes are the ways in: the login node under the id `head`,
    and the jump host before it if there is one. What runs jobs are the partitions."""
    ways = found["ways"]
    described = ClusterDescription(
        name=name,
        cloud="slurm",
        region=site,
        zone=partition,
        nodes=tuple(_way(rank, way, head, len(ways) > 1) for rank, way in enumerate(ways)),
        ssh=SshAccess(public_key=found["public_key"], identity=found["identity"]),
        records=f"slurm://{site}/{name}",
        egress="none",
        power=POWER,
        scheduler="slurm",
        partitions=tuple(_partition(each) for each in found["partitions"]),
    )
    return described.to_json()


def _way(rank: int, way: Mapping[str, Any], head: str, jumps: bool) -> Node:
    return Node(
        id=head if rank == 0 else "jump",
        rank=rank,
        host=way["host"],
        port=int(way["port"]),
        address=way["host"],
        user=way["user"],
        host_key=way["host_key"],
        incarnation=f"{way['host']}:{int(way['port'])}",
        jump="jump" if rank == 0 and jumps else "",
        internal_port=int(way["port"]),
    )


def _partition(said: Mapping[str, Any]) -> Partition:
    """A partition; numbers come from the engine as floats."""
    gpus = said["accelerators"]
    return Partition(
        name=said["name"],
        nodes=int(said["nodes"]),
        cpus=float(said["cpus"]),
        memory_gb=float(said["memory_gb"]),
        accelerators=Accelerators(name=gpus["name"], count=int(gpus["count"])),
        is_default=bool(said["is_default"]),
        time_limit=said["time_limit"],
    )
