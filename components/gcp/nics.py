"""Network interfaces of an instance, as plain data. Pure functions."""

from collections.abc import Sequence
from typing import Any, TypedDict

import pulumi


class FabricNicArgs(TypedDict):
    """One interface in a network of the fabric."""

    subnetwork: pulumi.Input[str]
    """Link of the subnet that it is in."""
    nic_type: str
    """GVNIC or MRDMA."""


def interfaces(
    subnetwork: pulumi.Input[str], fabric: Sequence[FabricNicArgs], address: pulumi.Input[str] | None, public: bool
) -> list[dict[str, Any]]:
    """All interfaces: nic0 in the cluster's own network, with the fixed `address` or any `public` one, then those of
    the fabric in their order."""
    first: dict[str, Any] = {"subnetwork": subnetwork, "nic_type": "GVNIC", "stack_type": "IPV4_ONLY"}
    if address is not None:
        first["access_configs"] = [{"nat_ip": address, "network_tier": "PREMIUM"}]
    elif public:
        first["access_configs"] = [{"network_tier": "PREMIUM"}]
    return [first, *({"subnetwork": each["subnetwork"], "nic_type": each["nic_type"]} for each in fabric)]
