"""Clusters that are not there yet, on clouds, and on the local one where its capacity is limited: one offer after the
other is tried, in rounds if that is wanted, and what an earlier run has left half-made is removed first."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from skyrig import fitting, imaging, renting
from skyrig.cluster import sites
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput
from skyrig.failover import journal, order, place, rounds, trying
from skyrig.failover.attempts import TRYING, NoneLeft
from skyrig.failover.journal import Journal
from skyrig.failover.trying import Doing, Notify
from skyrig.stack import backend, config, stacks
from skyrig.stack.progress import Changes
from skyrig.stack.risks import Risk
from skyrig.task.model import Task


@frozen
class Wanted:
    """What is wanted: `shape` for `task` (None: it is all that will do), worked out from `before`, the shape in the
    stack's config. With `at_least`, nodes stay that another run has asked for while this one waited for it; with
    `retry`, rounds of attempts go on until one is up. Offers in the region `avoid` are tried after all others."""

    before: Shape
    shape: Shape
    task: Task | None
    at_least: bool = False
    retry: bool = False
    avoid: str = ""


def acquire(
    stack: str,
    wanted: Wanted,
    notify: Notify,
    confirm: Callable[[str], bool],
    may: Callable[[list[Risk]], bool],
) -> Changes | None:
    """Bring up the first shape that can be had, whole or not at all; None where the stack is not what it was when
    `wanted` was worked out, which then is to be done again. NoneLeft where nothing can be had, and nothing is left."""
    waits = rounds.pauses()
    with journal.turn(stack, notify) as waited:
        left = journal.read(stack)
        if waited:
            return None
        if left is not None and not left.restored and not _goes_on(left, wanted):
            _recover(stack, left, notify)
            return None
        before = wanted.before if left is None or left.restored else left.before
        own = place.of_shape(wanted.shape)
        more = [each for each in fitting.others(before, wanted.shape, wanted.task) if place.of_shape(each) != own]
        nodes = [node.id for node in wanted.shape.nodes]
        renting.agree(stack, wanted.shape, nodes, confirm, more)
        is_local = wanted.shape.cloud == sites.CLOUD
        shapes = fitting.local_places(wanted.shape) if is_local else [wanted.shape, *more]
        shapes = order.region_last(shapes, wanted.avoid)

        def make(shape: Shape) -> Changes:
            _remove_from_elsewhere(stack, shape, notify)
            imaging.refuse_gone(shape)
            ready = imaging.ready(shape, notify)
            return stacks.up(stack, ready, notify, before=wanted.before if wanted.at_least else None, may=may)

        doing = Doing(
            allow=lambda shape: _allow(stack, shape),
            make=make,
            remove=lambda: stacks.down(stack, notify),
        )

        def one_round(began: float | None, number: int = 1) -> Changes:
            if number > 1 and not journal.is_mine(stack):
                raise BadInput(f"{stack} was taken down meanwhile: no more offers are tried")
            try:
                return trying.try_all(stack, shapes, before, doing, notify, began=began)
            except NoneLeft:
                _restore(stack, before, notify)
                journal.write(stack, Journal(before, restored=True)) if wanted.retry else journal.clear(stack)
                raise

        if not wanted.retry:
            return one_round(None)
        try:
            return rounds.until_up(one_round, notify, waits, stack)
        except NoneLeft:
            journal.clear(stack)
            raise


def _allow(stack: str, shape: Shape) -> None:
    """BadInput where a limit on what is spent would be broken."""
    stacks.within_limits(stack, shape)


def _goes_on(left: Journal, wanted: Wanted) -> bool:
    """Whether an attempt that was cut off goes on where it is, as any run that was cut off does: it is the first one,
    and its place is the one that is wanted; or nothing is said of what is wanted but the config, which names its place.
    Else, once a cloud has refused, what was half-made after that is removed."""
    if wanted.task is None:
        return True
    cut_off = left.cut_off
    if cut_off is None or cut_off.outcome != TRYING or len(left.attempts) > 1:
        return False
    there, here = cut_off.place, place.of_shape(wanted.shape)
    return there == evolve(here, region=here.region or there.region, zone=here.zone or there.zone)


def _recover(stack: str, left: Journal, notify: Notify) -> None:
    """Remove what a run before this one has left half-made, and forget what it was about to make."""
    if left.cut_off is not None:
        notify(f"{stack}: an attempt at {left.cut_off.place} was cut off: removing what was made")
        stacks.down(stack, notify)
    _restore(stack, left.before, notify)
    journal.write(stack, Journal(left.before, attempts=left.refused, restored=True))


def _remove_from_elsewhere(stack: str, shape: Shape, notify: Notify) -> None:
    """Half a cluster that an error has left in another place goes before one is made here."""
    if not backend.has_anything(stack):
        return
    there, here = place.of_shape(config.read_shape(stack)), place.of_shape(shape)
    if there != here:
        notify(f"{stack}: half-made at {there}: removing that before {here} is tried")
        stacks.down(stack, notify)


def _restore(stack: str, before: Shape, notify: Notify) -> None:
    """Nothing is there, and the config asks for what it asked for before: not for the last place that was tried."""
    stacks.settled(stack, notify)
    config.write_shape(stack, evolve(before, power="down"))
