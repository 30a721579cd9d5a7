"""All that Skyrig has made and that is still there, found by its tags with no state needed, and who knows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import evolve, frozen

from skyrig import local
from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import ROOM, NotUsable, Tagged, TaggedStack
from skyrig.cluster import clouds as registry
from skyrig.cluster import owner
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, SkyrigError
from skyrig.stack import backend, config, deployed, lock, stacks
from skyrig.task import infra as infra_of

Notify = Callable[[str], None]
"""Takes one line for the reader."""

LOCAL = "local"


@frozen
class Found:
    """What there is of one stack in one place. `known`: this backend has its state, so that `down` takes it away;
    `mine`: it was made from here, by this user."""

    seen: TaggedStack
    known: bool
    mine: bool

    @property
    def state(self) -> str:
        """In one word: known, lost (its state is), or theirs (somebody else's)."""
        return "known" if self.known else "lost" if self.mine else "theirs"

    def to_json(self) -> dict[str, Any]:
        """The object of `adopt --json`."""
        seen = self.seen
        return {
            "stack": seen.stack,
            "cloud": seen.cloud,
            "region": seen.region,
            "account": seen.account,
            "owner": seen.owner,
            "state": self.state,
            "machines": seen.machines,
            "left": [{"kind": each.kind, "id": each.id, "hourly_cost": each.hourly} for each in seen.left],
            "kept": list(seen.kept),
            "since": seen.since,
            "hourly_cost": seen.hourly if seen.is_priced else None,
        }


def find(infra: str | None, named: Iterable[str], notify: Notify) -> list[Found]:
    """All that is there, by place and stack. `infra` (CLOUD or CLOUD/REGION) is the only place to look at; BadInput
    where it is none, NotUsable where it cannot be asked. Otherwise clouds that cannot be asked are told, and so are
    parts of one that did not answer. `named` are names that the reader has said, which some clouds do not tell."""
    cloud, region = _place(infra)
    asked = [cloud] if cloud else [LOCAL, *clouds.known()]
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        looked = list(pool.map(lambda one: _looked(one, region, strict=bool(infra)), asked))
    for one, tagged in zip(asked, looked, strict=True):
        for reason in tagged.unseen:
            notify(f"{one}: not looked at: {reason.removeprefix(f'{one}: ')}")
        if tagged.account:
            notify(f"{one}: account {tagged.account}")
    names = stacks.everything()
    seen = [_named(each, {*names, *named}) for tagged in looked for each in tagged.stacks]
    return [Found(each, is_known(each, names), _is_mine(each)) for each in seen]


def again(found: Found) -> TaggedStack | None:
    """The same, as it is now; None where nothing is left of it."""
    seen = found.seen
    there = (
        local.tagged()
        if seen.cloud == LOCAL
        else clouds.of(seen.cloud, seen.account).tagged(seen.region or None).stacks
    )
    same = [one for each in there if (one := _named(each, {seen.stack})).stack == seen.stack]
    mine = [each for each in same if (each.region, each.owner) == (seen.region, seen.owner)]
    return mine[0] if mine and mine[0].left else None


def is_known(seen: TaggedStack, names: Sequence[str]) -> bool:
    """Whether the backend's stack of that name, among `names`, is this very one, and has something or is at work."""
    if seen.stack not in names:
        return False
    if lock.is_held(seen.stack):
        return True
    if backend.folder() is not None and not backend.has_anything(seen.stack):
        return False
    shape = _shape(seen.stack)
    if shape is None or shape.is_data or shape.is_image:
        return True
    theirs = bool(seen.owner and shape.owner) and not owner.same(seen.owner, shape.owner)
    place = (shape.cloud, shape.machine.region if seen.region else "")
    return not theirs and place == (seen.cloud, seen.region)


def _shape(stack: str) -> Shape | None:
    """What a stack is; None where that cannot be told."""
    try:
        past = deployed.last(stack)
        return config.read_shape(stack) if past is None and not config.is_bare(stack) else past
    except SkyrigError:
        return None


def _is_mine(seen: TaggedStack) -> bool:
    return owner.same(seen.owner, owner.here())


def _named(seen: TaggedStack, names: Iterable[str]) -> TaggedStack:
    """With the name of its stack, where its cloud only tells what that is made into and it is among `names`."""
    if not registry.has(ROOM, seen.cloud, "names"):
        return seen
    tagged_as = getattr(registry.module(ROOM, seen.cloud, "names"), "tagged_as", str)
    fitting = [name for name in names if tagged_as(name) == seen.stack]
    return evolve(seen, stack=fitting[0]) if fitting else seen


def _looked(cloud: str, region: str | None, *, strict: bool) -> Tagged:
    """What a cloud has. Without `strict` one that cannot be asked has nothing, and says why."""
    if cloud == LOCAL:
        return Tagged(tuple(local.tagged()))
    asked = clouds.of(cloud)
    lacking = asked.missing()
    if lacking and strict:
        raise NotUsable(f"{cloud}: {lacking}")
    if lacking:
        return Tagged(unseen=(lacking,))
    try:
        return asked.tagged(region)
    except SkyrigError as error:
        if strict:
            raise
        return Tagged(unseen=(str(error),))


def _place(infra: str | None) -> tuple[str, str | None]:
    """Cloud and region of `--infra`; "" where none is named."""
    if infra is None:
        return "", None
    known = (LOCAL, *clouds.known())
    wrong = BadInput(f"--infra {infra}: CLOUD or CLOUD/REGION is wanted", hint="clouds: " + ", ".join(known))
    try:
        found = infra_of.parse(infra)
    except ValueError:
        raise wrong from None
    if found.cloud not in known or found.zone or (found.cloud == LOCAL and found.region):
        raise wrong
    return found.cloud, found.region
