"""All that Skyrig has made in a project of Google Cloud, with nothing known of any stack.

What one stack has begins with the same name, which is made from the stack's and cannot be turned back where a label
says less than the stack's name does: then that beginning stands for the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from attrs import evolve, field, frozen

from skyrig.clouds.cloud import Leftover, NotUsable, Tagged, TaggedStack, by_owner
from skyrig.clouds.gcp import leftovers, machines
from skyrig.clouds.gcp.door import Described, Disabled, Door
from skyrig.clouds.gcp.leftovers import KINDS, Kind
from skyrig.clouds.gcp.names import cluster_name
from skyrig.errors import SkyrigError

_NAME = re.compile(r"([a-z][a-z0-9-]{0,17}-[0-9a-f]{6})-.*")
_ASKED = {"filter": 'name eq ".*-[0-9a-f]{6}-.*"'}


@frozen
class _Seen:
    """One thing: whose names it shares, what it says of its stack, and where it is ("": everywhere)."""

    cluster: str
    stack: str
    region: str
    left: Leftover


@frozen
class _Looked:
    """What was seen of one kind, and what could not be."""

    seen: list[_Seen] = field(factory=list)
    unseen: tuple[str, ...] = ()


def everything(door: Door, region: str | None) -> Tagged:
    """All of it, in one region, or (None) in all, where what does not answer is told. What is no region's is with the
    region that has the rest."""
    with ThreadPoolExecutor(max_workers=leftovers.MOST_AT_ONCE) as pool:
        slices, buckets = pool.submit(_slices, door), pool.submit(_buckets, door)
        looked = [*pool.map(lambda kind: _kind(door, kind), KINDS), slices.result()]
        kept, untold = buckets.result()
        clusters = sorted({each.cluster for one in looked for each in one.seen})
        identities = dict(zip(clusters, pool.map(lambda one: leftovers.identity(door, one), clusters), strict=True))
    if region and (dark := [reason for one in looked for reason in one.unseen]):
        raise SkyrigError(dark[0])
    seen = [each for one in looked for each in one.seen]
    whole = [
        evolve(each, account=door.project)
        for cluster in clusters
        for each in _of_cluster([one for one in seen if one.cluster == cluster], identities[cluster])
        if region in (None, each.region)
    ]
    named = {each.stack for each in whole}
    alone = [TaggedStack(stack, "gcp", "", door.project) for stack in kept if stack not in named and region is None]
    found = [evolve(each, kept=tuple(kept.get(each.stack, ()))) for each in (*whole, *alone)]
    unseen = [*(reason for one in looked for reason in one.unseen), *untold]
    return Tagged(tuple(each for seen in found for each in by_owner(seen)), tuple(dict.fromkeys(unseen)), door.project)


def _kind(door: Door, kind: Kind) -> _Looked:
    try:
        found = door.listed(f"global/{kind.noun}", query=_ASKED) if kind.scope == "global" else (
            door.everywhere(kind.noun, _ASKED)
        )  # fmt: skip
    except SkyrigError as error:
        return _Looked(unseen=(error.message,))
    return _Looked([one for each in found for one in _one(kind, each)])


def _one(kind: Kind, described: Described) -> Iterator[_Seen]:
    match, stack = _NAME.fullmatch(str(described["name"])), machines.said(described).get("skyrig-stack", "")
    if match and stack:
        where = (
            leftovers.last(described.get("region", "")) or leftovers.last(described.get("zone", "")).rpartition("-")[0]
        )
        yield _Seen(match[1], stack, where, kind.left(described, where))


def _slices(door: Door) -> _Looked:
    """TPU slices. Who may not look for any has made none."""
    try:
        there, silent = machines.all_slices(door)
    except NotUsable:
        return _Looked()
    except SkyrigError as error:
        return _Looked(unseen=(error.message,))
    found = []
    for each in there:
        match, stack = _NAME.fullmatch(leftovers.last(each["name"])), machines.said(each).get("skyrig-stack", "")
        if match and stack:
            found.append(_Seen(match[1], stack, each["zone"].rpartition("-")[0], leftovers.slice_left(each)))
    return _Looked(found, (f"TPUs of {', '.join(silent)}: no answer",) if silent else ())


def _buckets(door: Door) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Urls of buckets by what their label says of their stack; they are never removed."""
    kept: dict[str, list[str]] = {}
    try:
        for each in (one for page in door.pages("/b", {"project": door.project}, service="storage")
                     for one in page.get("items", ())):  # fmt: skip
            if stack := machines.said(each).get("skyrig-stack", ""):
                kept.setdefault(stack, []).append(f"gs://{each['name']}")
    except Disabled:
        return {}, ()
    except SkyrigError as error:
        return {}, (f"buckets: {error.message}",)
    return kept, ()


def _of_cluster(seen: list[_Seen], identity: list[Leftover]) -> list[TaggedStack]:
    """What has one beginning of its name, by region."""
    cluster, said = seen[0].cluster, seen[0].stack
    stack = said if cluster_name(said) == cluster else cluster
    regions = sorted({each.region for each in seen if each.region}, key=lambda one: -_machines(seen, one)) or [""]
    found = []
    for number, region in enumerate(regions):
        here = [each.left for each in seen if each.region == region or (not each.region and not number)]
        found.append(TaggedStack(stack, "gcp", region, left=(*here, *(() if number else identity))))
    return found


def _machines(seen: list[_Seen], region: str) -> int:
    return sum(each.region == region for each in seen)
