"""The kinds of things that a cluster on Nebius is made of, and what one of them says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from skyrig.catalog import disks, facts, instances, sources
from skyrig.clouds.cloud import Leftover
from skyrig.clouds.nebius import door as doors
from skyrig.clouds.nebius.names import cluster_name, label
from skyrig.clouds.nebius.switching import OFF


def _free(thing: Any, region: str) -> float | None:
    return 0.0


def _instance_hourly(thing: Any, region: str) -> float | None:
    if thing.status.state.name in OFF:
        return 0.0
    name = f"{thing.spec.resources.platform}_{thing.spec.resources.preset}"
    if name not in instances.of_cloud("nebius"):
        return None
    return sources.hourly("nebius", region, name, spot=thing.spec.HasField("preemptible"))


def _disk_hourly(thing: Any, region: str) -> float | None:
    return disks.hourly("nebius", thing.spec.type.name, thing.status.size_bytes / 2**30)


def _address_hourly(thing: Any, region: str) -> float | None:
    """Private addresses cost nothing; what public ones cost is not known where the catalog says 0."""
    known = facts.of("nebius", "egress")["address_hourly"]
    return (float(known) or None) if thing.spec.HasField("ipv4_public") else 0.0


@frozen
class Thing:
    """One kind by the name that people read, its place in the API, and what one costs an hour in a region."""

    name: str
    kind: doors.Kind
    hourly: Callable[[Any, str], float | None] = _free

    def left(self, thing: Any, region: str) -> Leftover:
        """One of them, as the API describes it."""
        made = thing.metadata.created_at
        since = made.timestamp() if made is not None else None
        owner = dict(thing.metadata.labels).get("skyrig-owner", "")
        return Leftover(self.name, thing.metadata.id, self.hourly(thing, region), owner, since)


THINGS = (
    Thing("instance", doors.INSTANCE, _instance_hourly),
    Thing("disk", doors.DISK, _disk_hourly),
    Thing("GPU cluster", doors.GPU_CLUSTER),
    Thing("address", doors.ALLOCATION, _address_hourly),
    Thing("security group", doors.SECURITY_GROUP),
    Thing("subnet", doors.SUBNET),
    Thing("network", doors.NETWORK),
)
"""In the order of removal: what others hang on comes later. The rules of a security group go with it: they are removed
before it."""

TYPES = {
    "nebius:index/computeV1Instance:ComputeV1Instance": doors.INSTANCE,
    "nebius:index/computeV1GpuCluster:ComputeV1GpuCluster": doors.GPU_CLUSTER,
    "nebius:index/vpcV1Allocation:VpcV1Allocation": doors.ALLOCATION,
    "nebius:index/vpcV1SecurityGroup:VpcV1SecurityGroup": doors.SECURITY_GROUP,
    "nebius:index/vpcV1SecurityRule:VpcV1SecurityRule": doors.SECURITY_RULE,
    "nebius:index/vpcV1Subnet:VpcV1Subnet": doors.SUBNET,
    "nebius:index/vpcV1Network:VpcV1Network": doors.NETWORK,
    "nebius:index/storageV1Bucket:StorageV1Bucket": doors.BUCKET,
}
"""The kinds by the engine's type tokens; ids are the same there."""


def is_of(thing: Any, stack: str) -> bool:
    """Whether a thing was made for the stack. Labels say less than names of stacks do, so that two stacks may have one
    label; the thing's own name tells them apart. A boot disk has no labels, and the name of its machine."""
    known = dict(thing.metadata.labels)
    own = str(thing.metadata.name).startswith(f"{cluster_name(stack)}-")
    return own and known.get("skyrig-stack", label(stack)) == label(stack)
