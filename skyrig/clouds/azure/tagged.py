"""All that Skyrig has made in a subscription of Azure, by its resource groups, with nothing known of any stack."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import evolve

from skyrig.clouds.azure import arm, group, leftovers, names
from skyrig.clouds.azure.arm import Arm, ArmError
from skyrig.clouds.cloud import Tagged, TaggedStack, by_owner

_ACCOUNTS = "microsoft.storage/storageaccounts"
_AT_ONCE = 4
"""Groups that are looked into at once; each asks about all that is in it."""


def everything(owner: str, region: str | None) -> Tagged:
    """All of it, in one region or (None) in all. A stack's cluster has one group, and each of its buckets another."""
    where, subscription = arm.usable(owner)
    groups = [each for each in group.tagged(where, subscription) if region in (None, str(each["location"]))]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        looked = list(pool.map(lambda one: _in_group(where, subscription, one), groups))
    if region and (dark := [reason for _, reason in looked if reason]):
        raise ArmError(dark[0])
    found: dict[tuple[str, str], TaggedStack] = {}
    for seen, _ in looked:
        other = found.get((seen.stack, seen.region))
        found[seen.stack, seen.region] = seen if other is None else _together(other, seen)
    stacks = [each for seen in found.values() if seen.left or seen.kept for each in by_owner(seen)]
    return Tagged(tuple(stacks), tuple(reason for _, reason in looked if reason), subscription)


def _in_group(where: Arm, subscription: str, one: dict[str, Any]) -> tuple[TaggedStack, str]:
    """What one group has, and what could not be looked at in it."""
    stack = group.tags_of(one)[group.STACK]
    seen = TaggedStack(stack, "azure", str(one["location"]), subscription)
    try:
        if str(one["name"]).lower() == names.resource_group(stack).lower():
            left = leftovers.in_group(where, subscription, stack, group.tags_of(one).get(group.OWNER, ""))
            return evolve(seen, left=tuple(left)), ""
        inside = where.listed(f"{one['id']}/resources", arm.RESOURCES)
    except ArmError as error:
        return seen, f"{one['name']}: {error.message}"
    buckets = [str(each["name"]) for each in inside if str(each["type"]).lower() == _ACCOUNTS]
    return evolve(seen, kept=tuple(f"storage account {each}" for each in buckets)), ""


def _together(one: TaggedStack, other: TaggedStack) -> TaggedStack:
    return evolve(one, left=one.left + other.left, kept=one.kept + other.kept)
