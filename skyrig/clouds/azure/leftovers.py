"""What Azure still has of a stack, what that costs, and its removal.

All of a stack is in its resource group, but for the role of its nodes. `KINDS` is in the order of removal: what others
hang on comes later. Storage accounts are meant to stay, and so is a group that holds what is not the stack's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from attrs import evolve, frozen

from skyrig.catalog import disks, facts, sources
from skyrig.clouds.azure import arm, group, names
from skyrig.clouds.azure.arm import COMPUTE, MOST_AT_ONCE, NETWORK, RESOURCES, Arm, ArmError
from skyrig.clouds.azure.started import DISKS
from skyrig.clouds.cloud import Leftover

AUTHORIZATION = "2022-04-01"
"""Version of the API of roles and their assignments."""
IDENTITY = "2023-01-31"
"""Version of the API of identities."""
GALLERIES = "2024-03-03"
"""Version of the API of galleries and their images; the one of pulumi-azure-native 3."""

_GROUP, _ROLE, _ASSIGNMENT = "resource group", "role", "role assignment"
_ROLES = "providers/Microsoft.Authorization/roleDefinitions"
_ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"
_BOOT = "-boot"
"""How the name of a boot disk ends (components/azure/machine.py)."""

Thing = Mapping[str, Any]


def _free(thing: Thing) -> float | None:
    return 0.0


def _machine_hourly(machine: Thing) -> float | None:
    """A machine that was shut down from inside is paid for as one that runs."""
    properties = machine["properties"]
    if arm.power_of(properties.get("instanceView", {})) in ("deallocated", "deallocating"):
        return 0.0
    spot = properties.get("priority") == "Spot"
    return sources.hourly("azure", str(machine["location"]), properties["hardwareProfile"]["vmSize"], spot=spot)


def _disk_hourly(disk: Thing) -> float | None:
    return disks.hourly("azure", str(disk.get("sku", {}).get("name")), disk["properties"].get("diskSizeGB", 0))


def _address_hourly(thing: Thing) -> float | None:
    return facts.of("azure", "egress").get("address_hourly")


def _nat_hourly(thing: Thing) -> float | None:
    return facts.of("azure", "egress").get("nat_hourly")


def _balancer_hourly(thing: Thing) -> float | None:
    """Without its address, which is there by itself."""
    said = facts.of("azure", "balancer")["hourly"]
    return float(said) - float(facts.of("azure", "egress")["address_hourly"])


def _replicas_hourly(version: Thing) -> float | None:
    """All replicas of an image's version, as if its disk were full."""
    properties = version["properties"]
    size = (properties.get("storageProfile") or {}).get("osDiskImage", {}).get("sizeInGB")
    regions = (properties.get("publishingProfile") or {}).get("targetRegions", ())
    count = sum(int(each.get("regionalReplicaCount", 1)) for each in regions)
    return float(facts.of("azure", "imaging")["gb_month"]) * size * count / 730 if size else None


@frozen
class Kind:
    """One kind of thing: its type in Resource Manager, its API's version, and what one costs an hour."""

    name: str
    type: str
    version: str
    hourly: Callable[[Thing], float | None] = _free


KINDS = (
    Kind("machine", "Microsoft.Compute/virtualMachines", COMPUTE, _machine_hourly),
    Kind("disk", "Microsoft.Compute/disks", DISKS, _disk_hourly),
    Kind("network interface", "Microsoft.Network/networkInterfaces", NETWORK),
    Kind("load balancer", "Microsoft.Network/loadBalancers", NETWORK, _balancer_hourly),
    Kind("virtual network", "Microsoft.Network/virtualNetworks", NETWORK),
    Kind("NAT gateway", "Microsoft.Network/natGateways", NETWORK, _nat_hourly),
    Kind("address", "Microsoft.Network/publicIPAddresses", NETWORK, _address_hourly),
    Kind("security group", "Microsoft.Network/networkSecurityGroups", NETWORK),
    Kind("application security group", "Microsoft.Network/applicationSecurityGroups", NETWORK),
    Kind("availability set", "Microsoft.Compute/availabilitySets", COMPUTE),
    Kind("scale set", "Microsoft.Compute/virtualMachineScaleSets", COMPUTE),
    Kind("proximity placement group", "Microsoft.Compute/proximityPlacementGroups", COMPUTE),
    Kind("identity", "Microsoft.ManagedIdentity/userAssignedIdentities", IDENTITY),
    Kind("image version", "Microsoft.Compute/galleries/images/versions", GALLERIES, _replicas_hourly),
    Kind("image definition", "Microsoft.Compute/galleries/images", GALLERIES),
    Kind("gallery", "Microsoft.Compute/galleries", GALLERIES),
)
"""What the group of a cluster, or of an image, holds. Subnets go with their network, a machine's extensions with it."""


@frozen
class _There:
    """Something that is there: what is said of it, and where it is in which version of which API."""

    left: Leftover
    path: str
    version: str


def of_stack(stack: str, owner: str = "") -> list[Leftover]:
    """All that is there of the stack, in the order of removal."""
    return [each.left for each in _found(*arm.usable(owner), stack)]


def in_group(where: Arm, subscription: str, stack: str, owner: str) -> list[Leftover]:
    """The same, where it is known whose the group is: what takes no tags is theirs."""
    return [
        each.left if each.left.owner else evolve(each.left, owner=owner) for each in _found(where, subscription, stack)
    ]


def remove(stack: str, owner: str, left: Sequence[Leftover]) -> None:
    """Remove it kind by kind, all of one kind at once. What Azure refuses to remove now stays, and is listed again."""
    where, subscription = arm.usable(owner)
    wanted = {(each.kind, each.id) for each in left}
    there = [each for each in _found(where, subscription, stack) if (each.left.kind, each.left.id) in wanted]
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        for kind in dict.fromkeys(each.left.kind for each in there):
            list(pool.map(lambda each: _delete(where, each), [each for each in there if each.left.kind == kind]))


def _delete(where: Arm, there: _There) -> None:
    with contextlib.suppress(ArmError):  # it is found again, and named
        where.delete(there.path, there.version)


def _found(where: Arm, subscription: str, stack: str) -> list[_There]:
    """What is there, in the order of removal. The role outlives the group, in which alone it gives any right."""
    role = _named(where, _ROLE, f"/subscriptions/{subscription}/{_ROLES}/{names.role(subscription, stack)}")
    if not group.there(where, subscription, stack):
        return role
    inside, home = group.inside(where, subscription, stack), group.path(subscription, stack)
    mine = [(kind, each) for kind in KINDS for each in inside if _is_mine(each, kind, stack)]
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        things = [each for each in pool.map(lambda one: _looked_at(where, *one), mine) if each is not None]
    given = f"{home}/{_ASSIGNMENTS}/{names.assignment(subscription, stack)}"
    others = len(inside) > sum(_goes_along(each) for each in inside) + len(mine)
    itself = [] if others else [_There(Leftover(_GROUP, arm.name(home)), home, RESOURCES)]
    return [*things, *_named(where, _ASSIGNMENT, given), *role, *itself]


def _is_mine(thing: Thing, kind: Kind, stack: str) -> bool:
    """By the stack's tag. Azure itself makes boot disks, which are named by us and have no tags."""
    if str(thing["type"]).lower() != kind.type.lower():
        return False
    whose = group.tags_of(thing).get(group.STACK, "")
    return whose == stack or (not whose and kind.name == "disk" and str(thing["name"]).endswith(_BOOT))


def _goes_along(thing: Thing) -> bool:
    """Whether it is part of another thing, as an extension is of its machine."""
    return str(thing["type"]).count("/") > 1


def _looked_at(where: Arm, kind: Kind, thing: Thing) -> _There | None:
    """A thing with its price; None where it is gone meanwhile."""
    path = str(thing["id"])
    expand = {"$expand": "instanceView"} if kind.name == "machine" else {}
    found = where.get(path, kind.version, **expand)
    if found is None:
        return None
    _, _, _, _, within, *_, called = path.split("/")
    owner, made = group.tags_of(thing).get(group.OWNER, ""), _since(found)
    return _There(Leftover(kind.name, f"{within}/{called}", kind.hourly(found), owner, made), path, kind.version)


def _since(found: Thing) -> float | None:
    """When a thing was made, in seconds since 1970."""
    said = str((found.get("properties") or {}).get("timeCreated", ""))
    try:
        return datetime.fromisoformat(said.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _named(where: Arm, kind: str, path: str) -> list[_There]:
    """What nothing is paid for and has one name, where it is there."""
    found = where.get(path, AUTHORIZATION)
    return [] if found is None else [_There(Leftover(kind, arm.name(path)), path, AUTHORIZATION)]
