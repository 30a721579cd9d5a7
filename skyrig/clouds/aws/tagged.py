"""All that Skyrig has made in an account of AWS, found by its tags, with nothing known of any stack."""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from attrs import evolve, field, frozen

from skyrig.clouds.aws import leftovers, machines, session
from skyrig.clouds.cloud import Leftover, NotUsable, Tagged, TaggedStack, by_owner
from skyrig.errors import SkyrigError

_HOME = "us-east-1"
_AT_ONCE = 16


@frozen
class _Region:
    """What one region has, by stack, and what could not be looked at there."""

    name: str
    left: dict[str, list[Leftover]] = field(factory=dict)
    kept: dict[str, list[str]] = field(factory=dict)
    unseen: tuple[str, ...] = ()


def everything(region: str | None) -> Tagged:
    """All of it, in one region, or (None) in all that the account has, of which one that does not answer is told."""
    home = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _HOME
    with session.asking("who the credentials belong to"):
        account = str(session.client("sts", home).get_caller_identity()["Account"])
    regions = [region] if region else _regions(home)
    for each in regions:  # clients are safe in threads, and their making is not
        session.client("ec2", each), session.client("elbv2", each), session.client("resourcegroupstaggingapi", each)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        roles = pool.submit(_roles, home)
        looked = list(pool.map(_in_region if region else _in_some_region, regions))
    _once(looked)
    there, unseen = roles.result()
    found = [evolve(each, account=account) for one in _with_roles(looked, there, home) for each in _stacks(one)]
    dark = dict.fromkeys([*(each for one in looked for each in one.unseen), *unseen])
    return Tagged(tuple(found), tuple(dark), account)


def _regions(home: str) -> list[str]:
    """The regions that the account may use."""
    with session.asking("which regions there are"):
        return sorted(each["RegionName"] for each in session.client("ec2", home).describe_regions()["Regions"])


def _in_some_region(region: str) -> _Region:
    """What a region has. One that the account may not use (an organization can close it) stops nobody."""
    try:
        return _in_region(region)
    except SkyrigError as error:
        return _Region(region, unseen=(f"{region}: {error.message}",))


def _in_region(region: str) -> _Region:
    ec2 = session.client("ec2", region)
    with session.asking(f"looking for tags in {region}"):
        asked = ec2.get_paginator("describe_tags").paginate(Filters=[{"Name": "key", "Values": [machines.STACK]}])
        stacks = {tag["Value"] for page in asked for tag in page["Tags"]}
    left = {stack: leftovers.regional(stack, region) for stack in sorted(stacks)}
    kept, unseen = _buckets(region)
    return _Region(region, left, kept, unseen)


def _buckets(region: str) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Urls of buckets by stack: they are never removed, so it is enough to say where nobody may look for them."""
    api, kept = session.client("resourcegroupstaggingapi", region), defaultdict(list)
    try:
        with session.asking("looking for buckets"):
            asked = api.get_paginator("get_resources").paginate(
                TagFilters=[{"Key": machines.STACK}], ResourceTypeFilters=["s3"]
            )
            for each in (one for page in asked for one in page["ResourceTagMappingList"]):
                kept[machines.tags_of(each)[machines.STACK]].append(f"s3://{each['ResourceARN'].rpartition(':')[2]}")
    except NotUsable:
        return {}, ("buckets: these credentials may not look for them (tag:GetResources)",)
    except SkyrigError as error:
        return {}, (f"buckets of {region}: {error.message}",)
    return dict(kept), ()


def _once(looked: list[_Region]) -> None:
    """Each bucket with the first region that names it."""
    told: set[str] = set()
    for one in looked:
        for stack, urls in list(one.kept.items()):
            one.kept[stack] = [url for url in urls if url not in told]
            told.update(urls)


def _roles(home: str) -> tuple[list[tuple[str, Leftover]], tuple[str, ...]]:
    try:
        return leftovers.roles(home), ()
    except SkyrigError as error:
        return [], (f"roles: {error.message}",)


def _with_roles(looked: list[_Region], roles: list[tuple[str, Leftover]], home: str) -> list[_Region]:
    """Each role with its stack, in every region that has something of it and of the role's owner, else at home."""
    for stack, role in roles:
        where = [one for one in looked if _has(one.left.get(stack, ()), role.owner)]
        if not where:
            where = [one for one in looked if one.name == home] or looked[:1]
        for one in where:
            one.left.setdefault(stack, []).append(role)
    return looked


def _has(left: list[Leftover] | tuple[()], owner: str) -> bool:
    return any(each.owner in (owner, "") for each in left)


def _stacks(one: _Region) -> list[TaggedStack]:
    """What the region has, by stack and owner; a stack whose things are all gone has tags for a while."""
    names = [stack for stack in sorted({*one.left, *one.kept}) if one.left.get(stack) or one.kept.get(stack)]
    whole = [
        TaggedStack(stack, "aws", one.name, left=tuple(one.left.get(stack, ())), kept=tuple(one.kept.get(stack, ())))
        for stack in names
    ]
    return [each for seen in whole for each in by_owner(seen)]
