"""All that Skyrig has made in a compartment of Oracle Cloud, found by its tags, with nothing known of any stack."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from attrs import evolve, field, frozen

from skyrig.clouds.cloud import Leftover, Tagged, TaggedStack, by_owner
from skyrig.clouds.oci import leftovers, session
from skyrig.clouds.oci.door import Door
from skyrig.clouds.oci.leftovers import Found
from skyrig.clouds.oci.names import STACK, tags_of
from skyrig.errors import SkyrigError


@frozen
class _Region:
    """What one region has, by stack, and what could not be looked at there."""

    name: str
    left: dict[str, list[Leftover]] = field(factory=dict)
    kept: dict[str, list[str]] = field(factory=dict)
    unseen: tuple[str, ...] = ()


def everything(door: Door, region: str | None) -> Tagged:
    """All of it, in one region, or (None) in all that the tenancy may use, of which one that does not answer is told.
    Identities are with the region that has most of their stack."""
    tenancy = session.tenancy() or door.account
    names = [region] if region else sorted(each["regionName"] for each in door.regions)
    with ThreadPoolExecutor(max_workers=4) as pool:
        look = _in_region if region else _in_some_region
        looked = list(pool.map(lambda name: look(door.at(name), tenancy), names))
    identities, dark = _identities(door.home, tenancy)
    found = [evolve(each, account=door.account) for each in _stacks(looked, identities, door.home.region)]
    unseen = [*(reason for one in looked for reason in one.unseen), *dark]
    return Tagged(tuple(each for seen in found for each in by_owner(seen)), tuple(dict.fromkeys(unseen)), door.account)


def _in_some_region(door: Door, tenancy: str) -> _Region:
    try:
        return _in_region(door, tenancy)
    except SkyrigError as error:
        return _Region(door.region, unseen=(f"{door.region}: {error.message}",))


def _in_region(door: Door, tenancy: str) -> _Region:
    by = leftovers.stacks(leftovers.regional(door, tenancy))
    left = {stack: _left(found, door.region) for stack, found in by.items()}
    try:
        return _Region(door.region, left, _buckets(door))
    except SkyrigError as error:
        return _Region(door.region, left, unseen=(f"buckets of {door.region}: {error.message}",))


def _left(found: list[Found], region: str) -> list[Leftover]:
    return [leftovers.left(kind, each, region) for kind, each in found]


def _buckets(door: Door) -> dict[str, list[str]]:
    """Urls of buckets by stack; they are never removed."""
    namespace = door.call("GET", "/n", {"compartmentId": door.account}, service="objectstorage")
    kept: dict[str, list[str]] = {}
    for each in door.listed(f"/n/{namespace}/b", {"fields": "tags"}, service="objectstorage"):
        if stack := tags_of(each).get(STACK, ""):
            kept.setdefault(stack, []).append(f"oci://{each['name']}")
    return kept


def _identities(home: Door, tenancy: str) -> tuple[dict[str, list[Leftover]], tuple[str, ...]]:
    try:
        by = leftovers.stacks(leftovers.identities(home, tenancy))
    except SkyrigError as error:
        return {}, (f"policies: {error.message}",)
    return {stack: _left(found, home.region) for stack, found in by.items()}, ()


def _stacks(looked: list[_Region], identities: dict[str, list[Leftover]], home: str) -> list[TaggedStack]:
    names = sorted({*identities, *(stack for one in looked for stack in (*one.left, *one.kept))})
    found: list[TaggedStack] = []
    for stack in names:
        there = sorted((one for one in looked if one.left.get(stack)), key=lambda one: -len(one.left[stack]))
        where = there[0].name if there else home
        for one in looked:
            more = identities.get(stack, []) if one.name == where else []
            left, kept = (*one.left.get(stack, ()), *more), tuple(one.kept.get(stack, ()))
            if left or kept:
                found.append(TaggedStack(stack, "oci", one.name, left=left, kept=kept))
    return found
