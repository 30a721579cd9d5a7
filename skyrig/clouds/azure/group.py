"""The resource group of a cluster, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.clouds.azure import names
from skyrig.clouds.azure.arm import RESOURCES, Arm

STACK = "skyrig-stack"
"""Tag with the name of the stack."""
OWNER = "skyrig-owner"
"""Tag with whose it is."""
NODE = "skyrig-node"
"""Tag with the id of the node that a thing belongs to."""


def path(subscription: str, stack: str) -> str:
    """Where the stack's group is, or was, in a subscription."""
    return f"/subscriptions/{subscription}/resourceGroups/{names.resource_group(stack)}"


def there(where: Arm, subscription: str, stack: str) -> bool:
    """Whether the group is there and is the stack's."""
    found = where.get(path(subscription, stack), RESOURCES)
    return found is not None and tags_of(found).get(STACK) == stack


def tagged(where: Arm, subscription: str) -> list[dict[str, Any]]:
    """All groups that Skyrig has made in a subscription, as Resource Manager lists them."""
    path = f"/subscriptions/{subscription}/resourcegroups"
    found = where.listed(path, RESOURCES, **{"$filter": f"tagName eq '{STACK}'"})
    return [each for each in found if STACK in tags_of(each)]


def inside(where: Arm, subscription: str, stack: str) -> list[dict[str, Any]]:
    """Everything in the group, as Resource Manager lists it: id, name, type, tags."""
    return where.listed(f"{path(subscription, stack)}/resources", RESOURCES)


def tags_of(thing: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a thing."""
    return dict(thing.get("tags") or {})
