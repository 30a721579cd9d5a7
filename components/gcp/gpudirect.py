"""The networks that a type's fabric wants beside the cluster's own, out of the catalog. Pure functions."""

from collections.abc import Sequence

from attrs import frozen

from skyrig.catalog.instances import InstanceType

DEFAULT_MTU = 1460
"""MTU of a VPC network where no fabric asks for another one, bytes."""


@frozen
class FabricNetwork:
    """One network of a fabric: `name` inside its cluster, `mtu` in bytes (0: what its profile says), kind of its
    interfaces, number of subnets (each has one interface of every node), and the network profile it is made by."""

    name: str
    mtu: int
    nic_type: str
    subnets: int = 1
    profile: str = ""


def active(kind: InstanceType, network_tier: str) -> bool:
    """Whether nodes of this type get the fabric of their type."""
    return network_tier == "best" and "networks" in kind.facts


def networks(kind: InstanceType, network_tier: str, zone: str) -> tuple[FabricNetwork, ...]:
    """Networks of the fabric in the order of the interfaces in them; none with plain networking."""
    if not active(kind, network_tier):
        return ()
    wanted = kind.facts["networks"]
    made = [FabricNetwork(f"gpu{number}", wanted["mtu"], "GVNIC") for number in range(wanted["gvnic"])]
    if wanted["mrdma"]:
        made.append(FabricNetwork("rdma", 0, "MRDMA", wanted["mrdma"], wanted["profile"].format(zone=zone)))
    return tuple(made)


def mtu(kind: InstanceType, network_tier: str) -> int:
    """MTU of the cluster's own network in bytes: the fabric's, so that control traffic is not cut smaller than data."""
    return int(kind.facts["networks"]["mtu"]) if active(kind, network_tier) else DEFAULT_MTU


def compact(kind: InstanceType, network_tier: str, capacity: str) -> bool:
    """Whether nodes are placed close to each other by a policy: also a single one, so that it stays as it is when
    others are added. What a reservation holds has its place already, and flex start takes no such policy."""
    return network_tier == "best" and kind.facts.get("placement") == "compact" and capacity in ("on-demand", "spot")


def subnets(wanted: Sequence[FabricNetwork]) -> int:
    """How many subnets these networks have together."""
    return sum(network.subnets for network in wanted)
