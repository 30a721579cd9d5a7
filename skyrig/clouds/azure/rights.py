"""What one may do on a subscription, against what a cluster needs. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

NEEDED = {
    "Contributor": (
        "Microsoft.Resources/subscriptions/resourceGroups/write",
        "Microsoft.Resources/subscriptions/resourceGroups/delete",
        "Microsoft.Compute/virtualMachines/write",
        "Microsoft.Compute/virtualMachines/delete",
        "Microsoft.Compute/virtualMachines/start/action",
        "Microsoft.Compute/virtualMachines/deallocate/action",
        "Microsoft.Compute/virtualMachines/extensions/write",
        "Microsoft.Compute/availabilitySets/write",
        "Microsoft.Compute/virtualMachineScaleSets/write",
        "Microsoft.Compute/proximityPlacementGroups/write",
        "Microsoft.Network/virtualNetworks/write",
        "Microsoft.Network/virtualNetworks/subnets/join/action",
        "Microsoft.Network/natGateways/write",
        "Microsoft.Network/publicIPAddresses/write",
        "Microsoft.Network/networkInterfaces/write",
        "Microsoft.Network/networkSecurityGroups/write",
        "Microsoft.Network/applicationSecurityGroups/write",
        "Microsoft.ManagedIdentity/userAssignedIdentities/write",
        "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    ),
    "User Access Administrator": (
        "Microsoft.Authorization/roleDefinitions/write",
        "Microsoft.Authorization/roleDefinitions/delete",
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
    ),
}
"""Rights that a cluster needs of who makes it, by the role of Azure's own that has them."""


def lacking(permissions: Sequence[Mapping[str, Any]], needed: Sequence[str]) -> list[str]:
    """What of `needed` none of the `permissions` gives. Each is one role's: its actions, less its notActions."""
    return [action for action in needed if not any(_gives(each, action) for each in permissions)]


def _gives(permission: Mapping[str, Any], action: str) -> bool:
    given, taken = permission.get("actions") or (), permission.get("notActions") or ()
    return any(_fits(each, action) for each in given) and not any(_fits(each, action) for each in taken)


def _fits(pattern: str, action: str) -> bool:
    """Whether a pattern of Azure's, in which * stands for anything, means an action."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) is not None
