"""Data stacks: the stacks that buckets live in, so that they outlive every cluster; and finding buckets in any stack.

A cluster's persistent buckets are in the stack NAME-data beside it. Buckets that go with their cluster are in the
cluster's own stack, under the same config key and the same output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, fields

from skyrig import places
from skyrig.cluster.buckets import DATA, Bucket
from skyrig.cluster.shape import Shape, stack_name
from skyrig.errors import BadInput
from skyrig.stack import backend, config, described, engine, ssh_files, stacks
from skyrig.storage import programs
from skyrig.storage.local import server
from skyrig.storage.owned import OwnedBucket

Notify = Callable[[str], None]
"""Takes one line of progress for the reader."""


def of(cluster: str) -> str:
    """Name of the data stack of a cluster."""
    return stack_name(f"{cluster}{DATA}")


def buckets(stack: str, *, fresh: bool = False) -> list[OwnedBucket]:
    """The buckets that a stack has, a cluster's too; none where there is no such stack. The engine is asked once a
    deployment. Local ones have the endpoint that their server has now, if it runs."""
    mark = described.mark(stack)
    if mark is None and backend.folder() is not None:
        _file(stack).unlink(missing_ok=True)
        return []
    kept = None if fresh or mark is None else _kept(stack, mark)
    found = _asked(stack, mark) if kept is None else kept
    running = server.check(places.storage(stack)) if any(each.store == "local" for each in found) else {}
    return [evolve(each, endpoint=running["endpoint"]) if running and each.folder else each for each in found]


def serving(stack: str) -> list[OwnedBucket]:
    """As `buckets`, with the server of the local ones started again where it is gone."""
    found = buckets(stack)
    keys = next((each.keys for each in found if each.keys), None)
    if keys is None:
        return found
    endpoint = str(server.ensure(stack, server.Keys(**keys))["endpoint"])
    return [evolve(each, endpoint=endpoint) if each.folder else each for each in found]


def ready(bucket: OwnedBucket) -> OwnedBucket:
    """`bucket` as it can be reached: with its server, if it has one, started where that is gone."""
    return next((each for each in serving(bucket.stack) if each.name == bucket.name), bucket)


def all_known() -> list[OwnedBucket]:
    """Every bucket of every stack on this backend, by stack."""
    return [bucket for stack in stacks.everything() if stacks.has_buckets(stack) for bucket in buckets(stack)]


def find(name: str, store: str | None = None) -> OwnedBucket | None:
    """The bucket of that name, in whichever stack it is; on `store` where one is named."""
    found = (each for each in all_known() if each.name == name and store in (None, each.store))
    return next(found, None)


def make(stack: str, wanted: Sequence[Bucket], notify: Notify) -> list[OwnedBucket]:
    """Have these buckets, and give them in that order. Those that another stack has are found there and not made again;
    the others are in the data stack `stack`, which keeps what it has. BadInput where `stack` is a cluster's."""
    elsewhere = {(each.store, each.name): each for each in all_known() if each.stack != stack}
    own = [each for each in wanted if (each.store, each.name) not in elsewhere]
    if own:
        _make(stack, own, notify)
    known = elsewhere | {(each.store, each.name): each for each in serving(stack)}
    return [known[each.store, each.name] for each in wanted]


def add(stack: str, wanted: Sequence[Bucket], notify: Notify) -> None:
    """Make buckets that go with the cluster of `stack`, in that stack itself. Its nodes stay as they are."""
    before = stacks.settled(stack, notify)
    new = tuple(each for each in wanted if each not in before.buckets)
    _have_programs(new)
    for each in new:
        notify(f"bucket {each.name} ({each.store}) is made; it goes with the cluster {stack}")
    stacks.up(stack, evolve(before, buckets=(*before.buckets, *new)), notify, before=before)


def drop(stack: str, name: str, notify: Notify) -> None:
    """Delete the bucket `name` of `stack` with everything in it, and take it out of the config. Whoever calls has asked
    the user. A data stack that has no bucket left is down."""
    before = stacks.settled(stack, notify) if stacks.is_there(stack) else Shape()
    found = [each for each in before.buckets if each.name == name]
    if not found:
        there = ", ".join(each.name for each in before.buckets) or "none"
        raise BadInput(f"stack {stack} has no bucket {name}", hint=f"it has: {there}")
    if any(each.persistent for each in found):  # protected, and kept by the engine: both end with a run that says so
        freed = [evolve(each, persistent=False) if each in found else each for each in before.buckets]
        stacks.up(stack, evolve(before, buckets=tuple(freed)), notify, before=before, refresh=False)
    rest = tuple(each for each in before.buckets if each not in found)
    power = "down" if before.is_data and not rest else before.power
    stacks.up(stack, evolve(before, buckets=rest, power=power), notify, before=before, refresh=False)


def _make(stack: str, own: Sequence[Bucket], notify: Notify) -> None:
    before = _before(stack, notify)
    known = {(each.store, each.name) for each in before.buckets}
    new = [each for each in own if (each.store, each.name) not in known]
    there = {(each.store, each.name) for each in buckets(stack)}
    if not new and {(each.store, each.name) for each in own} <= there:
        return
    _have_programs(own)
    shape = evolve(before, nodes=(), power="up", buckets=(*before.buckets, *new))
    for each in new:
        notify(f"bucket {each.name} ({each.store}{f', {each.region}' if each.region else ''}) is made in stack {stack}")
    stacks.up(stack, shape, notify, before=before)


def _have_programs(wanted: Sequence[Bucket]) -> None:
    """Get what local buckets need: that takes minutes where it is not here yet, and is not the engine's time."""
    if any(each.store == "local" for each in wanted):
        programs.versitygw()
        programs.rclone()


def _before(stack: str, notify: Notify) -> Shape:
    """What the data stack is by its config, an empty one where there is none; BadInput where it is a cluster's."""
    stack_name(stack)
    if not stacks.is_there(stack) and config.is_bare(stack):
        return Shape(nodes=(), power="down")
    shape = stacks.settled(stack, notify)
    if not shape.is_data:
        raise BadInput(f"{stack} is a cluster, and would be the stack of buckets", hint="name the cluster otherwise")
    return shape


def _asked(stack: str, mark: list[int] | None) -> list[OwnedBucket]:
    """What the engine says, kept for the next time."""
    if not stacks.has_buckets(stack):
        outputs: dict[str, Any] = {}
    else:
        outputs = json.loads(engine.query(["stack", "output", "--json", "--show-secrets"], stack=stack))
    keys = outputs.get("bucket_keys") or {}
    found = [_read({**each, "stack": stack}, keys) for each in outputs.get("buckets") or []]
    if mark is not None:
        where = os.fspath(backend.state_file(stack) or "")
        document = {"mark": [where, *mark], "buckets": [asdict(each) for each in found]}
        places.made(places.stack(stack))
        ssh_files.replace(_file(stack), json.dumps(document))
    return found


def _kept(stack: str, mark: list[int]) -> list[OwnedBucket] | None:
    try:
        document = json.loads(_file(stack).read_bytes())
        if document["mark"] != [os.fspath(backend.state_file(stack) or ""), *mark]:
            return None
        return [OwnedBucket(**each) for each in document["buckets"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(entry: dict[str, Any], keys: dict[str, str]) -> OwnedBucket:
    names = {each.name for each in fields(OwnedBucket)}
    known = {key: value for key, value in entry.items() if key in names}
    return OwnedBucket(**known, keys=keys if entry["store"] == "local" else {})


def _file(stack: str) -> Path:
    return places.stack(stack) / "buckets.json"
