"""`down --by-tag`: taking away what is found by its tags, whether anybody has its state or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from skyrig import local, provision
from skyrig.bringing import Confirm, Notify
from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import TaggedStack
from skyrig.errors import BadInput, EngineError
from skyrig.recovery import tagged
from skyrig.recovery.tagged import Found
from skyrig.stack import described, lock, lost, stacks
from skyrig.stack.sweep import LeftBehind

_PAUSES_S = (0.0, 5.0, 10.0, 20.0, 40.0)
"""Pauses before each try: a cloud lets go of what hung on a machine only some time after the machine is gone."""


def chosen(found: Sequence[Found], fits: Callable[[str], bool] | None) -> list[Found]:
    """What is to go of `found`: what `fits` says was named; without it, what is this user's own and has lost its
    state."""
    there = [each for each in found if each.seen.left]
    return [each for each in there if (each.state == "lost" if fits is None else fits(each.seen.stack))]


def reclaim(going: Sequence[Found], notify: Notify, confirm: Confirm, *, force: bool = False) -> None:
    """Take each away that is agreed to, the ones with a state by their `down` first. LeftBehind names what stays, with
    its price; where nothing is agreed to it is BadInput, and nothing was removed."""
    stays: list[TaggedStack] = []
    agreed = [each for each in going if confirm(question(each))]
    if going and not agreed:
        raise BadInput(f"{', '.join(each.seen.stack for each in going)}: nothing was removed", hint="-y agrees to it")
    for each in agreed:
        if each.known:
            _destroy(each, notify, force=force)
        left = _removed(each, notify)
        if left is not None:
            stays.append(left)
    if stays:
        names = "; ".join(f"{one.stack} on {one.place}: {', '.join(map(str, one.left))}" for one in stays)
        raise LeftBehind(
            f"still there, at ${sum(one.hourly for one in stays):.4f}/h: {names}",
            hint="run it again; else remove it there",
        )


def question(found: Found) -> str:
    """What is asked before something goes."""
    seen = found.seen
    whose = "" if found.mine else f" of {seen.owner or 'nobody knows whom'}"
    return f"remove {seen.stack}{whose} on {seen.place}: {seen.what}?"


def _destroy(found: Found, notify: Notify, *, force: bool) -> None:
    """What has a state goes by it. Where nobody can read that any more, it is put aside."""
    stack = found.seen.stack
    try:
        provision.down(stack, notify, lambda asked: True, force=force)
    except EngineError as error:
        if not lost.is_lost(error):
            raise
        lost.put_aside(stack, notify)


def _removed(found: Found, notify: Notify) -> TaggedStack | None:
    """Remove it, again while something is left; what stays of it."""
    seen: TaggedStack | None = tagged.again(found) if found.known else found.seen
    with lock.held(found.seen.stack, notify):
        for pause_s in _PAUSES_S:
            if seen is None:
                break
            time.sleep(pause_s)
            notify(f"{seen.stack}: removing {', '.join(map(str, seen.left))}")
            _remove(seen, notify)
            seen = tagged.again(found)
    if seen is None:
        notify(f"{found.seen.stack}: nothing of it is left on {found.seen.place}")
        if not stacks.is_there(found.seen.stack):
            described.forget(found.seen.stack, notify)
    for each in found.seen.kept:
        notify(f"{found.seen.stack}: stays: {each}")
    return seen


def _remove(seen: TaggedStack, notify: Notify) -> None:
    if seen.cloud == tagged.LOCAL:
        local.end(seen.stack, notify)
    else:
        clouds.of(seen.cloud, seen.account).remove(seen.stack, seen.region, seen.left)
