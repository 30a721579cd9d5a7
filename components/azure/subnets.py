"""An existing subnet that a cluster shall be in: its name, and whether it will do. Pure functions."""

import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

RDMA = ipaddress.ip_network("172.16.0.0/16")
"""Address space that Azure's InfiniBand keeps for itself (MicrosoftDocs setup-infiniband.md, 2026-09-25)."""

NETWORK = "10.77.0.0/16"
"""Address space of a network of our own."""
SUBNET = "10.77.0.0/18"
"""Its one subnet: 16,379 nodes."""

_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/providers/Microsoft\.Network"
    r"/virtualNetworks/(?P<network>[^/]+)/subnets/(?P<subnet>[^/]+)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"(?P<group>[^/]+)/(?P<network>[^/]+)/(?P<subnet>[^/]+)")


class SubnetName(NamedTuple):
    """Where an existing subnet is."""

    subscription: str
    group: str
    network: str
    subnet: str


def parse(text: str, subscription: str) -> SubnetName | None:
    """The subnet called GROUP/NETWORK/SUBNET, or by its whole id; None where it is neither, or of another
    subscription."""
    match = _ID.fullmatch(text)
    if match:
        mine = match["subscription"].lower() == subscription.lower()
        return SubnetName(subscription, match["group"], match["network"], match["subnet"]) if mine else None
    short = _SHORT.fullmatch(text)
    return SubnetName(subscription, short["group"], short["network"], short["subnet"]) if short else None


def unfit(region: str, location: str, prefixes: Sequence[str], gateway: bool, egress: str, fabric: str) -> str:
    """Why an existing subnet will not do, "" where it does. `prefixes` is the address space of its network, `gateway`
    whether a NAT gateway or a route table takes care of its way out."""
    if location.replace(" ", "").lower() != region.lower():
        return f"it is in {location}, the nodes are in {region}"
    if fabric == "infiniband" and any(ipaddress.ip_network(prefix).overlaps(RDMA) for prefix in prefixes):
        return (
            f"its network overlaps {RDMA}, which InfiniBand keeps for itself: take another one, or networkTier standard"
        )
    if egress == "nat" and not gateway:
        return "it has neither a NAT gateway nor a route table: give it one, or take egress public-outbound or none"
    return ""
