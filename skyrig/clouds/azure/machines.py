"""The machines of a stack, as Azure has them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from skyrig.clouds.azure import arm, group
from skyrig.clouds.azure.arm import COMPUTE, MOST_AT_ONCE, NETWORK, Arm
from skyrig.clouds.azure.started import UP
from skyrig.clouds.cloud import SeenMachine


def of_stack(stack: str, owner: str = "") -> list[SeenMachine]:
    """The machines in the stack's group, under its tag, that are there, deallocated ones too."""
    where, subscription = arm.usable(owner)
    if not group.there(where, subscription, stack):
        return []
    inside = group.path(subscription, stack)
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        interfaces = pool.submit(where.listed, f"{inside}/providers/Microsoft.Network/networkInterfaces", NETWORK)
        addresses = pool.submit(where.listed, f"{inside}/providers/Microsoft.Network/publicIPAddresses", NETWORK)
        listed = where.listed(f"{inside}/providers/Microsoft.Compute/virtualMachines", COMPUTE)
        mine = [each for each in listed if group.tags_of(each).get(group.STACK) == stack]
        views = list(pool.map(lambda each: _view(where, str(each["id"])), mine))
        reached = _reached(interfaces.result(), addresses.result())
    return [_seen(each, view, reached) for each, view in zip(mine, views, strict=True) if view is not None]


def _view(where: Arm, machine: str) -> dict[str, Any] | None:
    """The instance view of a machine; None where it is gone or goes."""
    view = where.get(f"{machine}/instanceView", COMPUTE)
    going = any(each.get("code") == "ProvisioningState/deleting" for each in (view or {}).get("statuses", ()))
    return None if going else view


def _seen(machine: Mapping[str, Any], view: Mapping[str, Any], reached: Mapping[str, tuple[str, str]]) -> SeenMachine:
    properties = machine["properties"]
    ours = [str(each["id"]).lower() for each in properties.get("networkProfile", {}).get("networkInterfaces", ())]
    private, public = reached.get(ours[0], ("", "")) if ours else ("", "")
    return SeenMachine(
        node_id=group.tags_of(machine).get(group.NODE, ""),
        machine=str(properties["vmId"]),
        power="up" if arm.power_of(view) in UP else "stopped",
        public=public,
        private=private,
    )


def _reached(interfaces: list[dict[str, Any]], addresses: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Private and public address by the id of an interface, in lower case: ids come back in any."""
    public = {str(each["id"]).lower(): str(each["properties"].get("ipAddress", "")) for each in addresses}
    found = {}
    for interface in interfaces:
        for config in interface["properties"].get("ipConfigurations", ())[:1]:
            said = config.get("properties", {})
            outside = str(said.get("publicIPAddress", {}).get("id", "")).lower()
            private = str(said.get("privateIPAddress", ""))
            found[str(interface["id"]).lower()] = (private, public.get(outside, ""))
    return found
