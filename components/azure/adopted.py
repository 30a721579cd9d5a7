"""An existing network, as it was read: whether a cluster can be in it."""

from typing import Any

import pulumi

from components.azure import subnets


def fit(seen: Any, wanted: str, region: str, egress: str, fabric: str) -> str:
    """The id of the subnet `wanted` of a network that was read; InputPropertyError where it will not do."""
    part = next((one for one in seen.subnets or [] if (one.name or "").lower() == wanted.lower()), None)
    if part is None:
        raise pulumi.InputPropertyError("network", f"{seen.name} has no subnet {wanted}")
    prefixes = seen.address_space.address_prefixes or []
    gateway = part.nat_gateway is not None or part.route_table is not None
    unfit = subnets.unfit(region, seen.location or "", prefixes, gateway, egress, fabric)
    if unfit:
        raise pulumi.InputPropertyError("network", f"{seen.name}/{wanted}: {unfit}")
    return str(part.id)
