"""Bringing clusters up: from what is asked for to what stands in a stack's config, what is asked of the reader before,
and the engine's run that makes it so."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext

from attrs import evolve, frozen

from skyrig import imaging, leaving, local, orders, renting
from skyrig.acquiring import Wanted, acquire
from skyrig.catalog import costs
from skyrig.cluster import grouping
from skyrig.cluster.autostop import AutostopNote
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import NO_WISH, Wish
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError, ResourcesMismatch, SkyrigError
from skyrig.failover import journal, rounds
from skyrig.failover.attempts import NoneLeft
from skyrig.fitting import note_served, shape_for
from skyrig.jobs import kept
from skyrig.progress import Kind, Step, activity
from skyrig.stack import autostopped, cordoned, described, powers, project, stacks, status
from skyrig.stack.foreseen import PlannedUp
from skyrig.stack.progress import Changes
from skyrig.stack.risks import Risk
from skyrig.task.model import Task

Notify = Callable[[str], None]
"""Takes one line for the reader."""

Confirm = Callable[[str], bool]
"""Asks the reader a question; false where the answer is no, or where nobody can be asked."""

_STARTS = 10_000
"""Where counting starts begins again: only that the number is another one matters."""

_LEAVING_S = 120.0
"""How long a cluster that is switching itself off is waited for; skyrig.launch.keeper.parting says what that takes."""

_CENT = 0.01
_POLL_S = 0.1


def nobody(question: str) -> bool:
    """The answer where nobody can be asked."""
    return False


@frozen
class Asked:
    """What a cluster shall be, beside what its stack's config says: fit for `task`, with so many `nodes`, of which
    `ondemand` at least are not spot as far as nodes that come can do that, limits and time to live as `wish` says;
    `ports` and `reaches` (buckets) come beside those that are there. The nodes `without` go, whatever their rank, and
    those in `anew` are made anew, alive or not, as cordoned ones are in any case; neither is ever the head. With
    `at_least`, nodes stay that another run has asked for while this one waited for it. Of a cluster that is not there
    yet, offers in the region `avoid` are tried last. What was `planned` stands for all of it."""

    task: Task | None = None
    nodes: int | None = None
    ports: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()
    wish: Wish = NO_WISH
    ondemand: int = 0
    without: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()
    at_least: bool = False
    avoid: str = ""
    planned: PlannedUp | None = None


@frozen
class Manner:
    """How it is done. `confirm` is asked before money is spent and before live nodes are replaced, but for those of the
    ids in `taking`. `force` takes nodes away also where jobs run, and files that they wrote have `flush_s` seconds
    (None: what `skyrig.leaving` gives them). Without `starting`, nodes that cost money and stopped themselves stay as
    they are. With `retry`, rounds of attempts go on until there is capacity."""

    confirm: Confirm = nobody
    force: bool = False
    flush_s: float | None = None
    starting: bool = True
    retry: bool = False
    taking: tuple[str, ...] = ()


NOTHING_NEW, USUAL = Asked(), Manner()


def up(stack: str, notify: Notify, asked: Asked = NOTHING_NEW, manner: Manner = USUAL) -> ClusterDescription:
    """Bring the cluster of `stack` up, start it, or repair it: afterwards it is what its config says, into which what
    is `asked` is written first. Nodes that are to go take no new jobs; where jobs run there it is BadInput, unless that
    is forced. Where nothing is there yet, one offer after the other is tried, until one is up. What was planned is done
    exactly; BadInput, and nothing is made, where that cannot be. BadInput for a stack of data."""
    stacks.refuse_data(stack)
    if asked.task is not None:
        task = imaging.resolved(asked.task)
        asked = evolve(asked, task=task)
        note_served(task, notify)
    wait_until_off(stack, notify)
    is_new, is_said = not stacks.is_there(stack), project.config_file(stack).exists()
    before, there = stacks.settled(stack, notify), described.describe(stack)
    known = before if is_said or not is_new else evolve(before, nodes=())  # nobody has asked for a default's nodes
    if asked.planned is None:
        asked = evolve(asked, anew=(*asked.anew, *_bad(there, notify)))
    shape = _owned(stack, _shape(asked, before, is_new=is_new, there=there))
    _confirm_replacement(stack, before, shape, manner.confirm)
    note = autostopped.note(there) if there is not None else None
    power = powers.of(there) if there is not None else {}
    shape = _started(shape, there, power, notify, also_paid=manner.starting)
    for line in stacks.within_limits(stack, shape):
        notify(line)
    is_had = not shape.is_offered and not (shape.cloud == "local" and local.is_limited())
    if there is None and not is_had and asked.planned is None:
        changes = _acquired(stack, before, shape, asked, manner, notify)
        if changes is None:
            return up(stack, notify, asked, manner)
    else:
        changes = _changed(stack, before, known, renting.settled(shape), there, power, asked, manner, notify)
    return _described(stack, changes, note, notify)


def _shape(asked: Asked, before: Shape, *, is_new: bool, there: ClusterDescription | None) -> Shape:
    """The shape that is asked for of a stack with the shape `before`."""
    if asked.planned is not None:
        return _as_planned(asked.planned, None if is_new else before)
    staying = grouping.renewed(grouping.without(before, asked.without), asked.anew)
    if asked.nodes is not None and asked.ondemand and there is not None:
        count = max(asked.nodes, len(staying.nodes))
        staying = grouping.with_ondemand(staying, count, min(asked.nodes, asked.ondemand))
    shape = shape_for(staying, asked.task, nodes=asked.nodes, ports=asked.ports, reaches=asked.reaches)
    if asked.ondemand and there is None:
        shape = grouping.fresh(shape, len(shape.nodes), min(asked.ondemand, len(shape.nodes)))
    return with_policy(shape, asked.wish, new=there is None)


def _owned(stack: str, shape: Shape) -> Shape:
    """`shape` with the managed job that the stack is for, if it is for one: its config says so from the start."""
    mark = kept.mark(stack)
    return evolve(shape, managed=mark) if mark else shape


def _acquired(stack: str, before: Shape, shape: Shape, asked: Asked, manner: Manner, notify: Notify) -> Changes | None:
    """A cluster where there was none and a cloud may refuse it; None where somebody else made one meanwhile."""
    if old := costs.remark(shape):
        notify(f"cluster {stack}: {old}")
    wanted = Wanted(before, shape, asked.task, asked.at_least, manner.retry, asked.avoid)
    return acquire(stack, wanted, notify, manner.confirm, _asked_apart(stack, notify, manner))


def _changed(
    stack: str,
    before: Shape,
    known: Shape,
    shape: Shape,
    there: ClusterDescription | None,
    power: Mapping[str, str],
    asked: Asked,
    manner: Manner,
    notify: Notify,
) -> Changes:
    """Make a cluster what `shape` says, in its own place; where its cloud refuses a node, what it was before. Nodes
    that are not `known` came while another run was waited for."""
    turned_on = (shape.starts, shape.power) != (before.starts, before.power)
    arriving = coming(shape, power, turned_on=turned_on)
    if arriving and (old := costs.remark(shape)):
        notify(f"cluster {stack}: {old}")
    renting.agree(stack, shape, arriving, manner.confirm)
    forecast = asked.planned.forecast if asked.planned is not None else None
    may = _asked_apart(stack, notify, manner)

    def once(_: float, __: int) -> Changes:
        try:
            wanted, had = imaging.ready(shape, notify), known if asked.at_least else None
            return stacks.up(stack, wanted, notify, before=had, may=may, planned=forecast)
        except EngineError as error:
            refusal = renting.refused(shape, error)
            if refusal is None:
                raise
            if there is None:
                notify(f"{refusal.message}: removing what was made")
                stacks.down(stack, notify)
            elif shape != before:
                notify(f"{refusal.message}: removing what was made")
                _undone(stack, before, notify)
            raise NoneLeft(refusal.message, hint=refusal.hint) from error

    with _drained(shape, there, asked.anew, notify, force=manner.force, flush_s=manner.flush_s):
        notify(f"cluster {stack}: {shape}, {costs.said(costs.of_shape(shape))}")
        changes = rounds.until_up(once, notify, rounds.pauses(), stack) if manner.retry else once(0.0, 1)
    journal.clear(stack)
    return changes


def _undone(stack: str, before: Shape, notify: Notify) -> None:
    """Make a cluster again what it was; nodes that it had lost before may be refused still, and stay lost."""
    try:
        stacks.up(stack, before, notify)
    except EngineError as error:
        if renting.refused(before, error) is None:
            raise


def _described(stack: str, changes: Changes, note: AutostopNote | None, notify: Notify) -> ClusterDescription:
    """The cluster as it is after `changes`, whose head knows when it is to switch the cluster off; `note` is what it
    had been told of that before."""
    notify(f"{stack}: {changes}")
    cluster = described.describe(stack, fresh=True, notify=notify)
    if cluster is None:
        raise SkyrigError(f"stack {stack} is up and exports no cluster", hint=f"look at `pulumi stack -s {stack}`")
    if note is not None and note.idle_s is not None:
        orders.keep_autostop(cluster, note, notify)
    orders.keep_ttl(stack, cluster, notify)
    return cluster


def with_policy(shape: Shape, wish: Wish, *, new: bool) -> Shape:
    """`shape` with the limits and the time to live that are asked for; of a new cluster that counts from now."""
    policy = shape.policy
    if new and policy.ttl is not None:
        policy = evolve(policy, ttl=evolve(policy.ttl, ends_at=0.0))
    return stacks.counted(evolve(shape, policy=wish.applied(policy, time.time())))


def _as_planned(planned: PlannedUp, before: Shape | None) -> Shape:
    """The shape that was planned. BadInput where the stack is not what it was then, or the price is higher now."""
    if before != planned.before:
        raise BadInput(f"stack {planned.stack} was changed since it was planned", hint="plan it again")
    now = costs.of_shape(planned.shape)
    if now is not None and planned.hourly is not None and now > planned.hourly + _CENT:
        raise BadInput(
            f"{planned.stack}: {costs.said(now)}, planned was {costs.said(planned.hourly)}", hint="plan it again"
        )
    return planned.shape


def coming(shape: Shape, power: Mapping[str, str], *, turned_on: bool) -> list[str]:
    """Ids of the nodes that an up would make or start, where `power` is that of those there are."""
    on = ("up", "stopped") if not turned_on else ("up",)
    return [node.id for node in shape.nodes if power.get(node.id) not in on]


def _started(
    shape: Shape, there: ClusterDescription | None, power: Mapping[str, str], notify: Notify, *, also_paid: bool
) -> Shape:
    """`shape` with power up; nodes that stopped themselves, which the last deployment does not know, are started
    too, unless that costs money and was not asked for."""
    off = [each for each in power if power[each] == "stopped"]
    if off and there is not None and shape.is_rented and shape.power == "up" and not also_paid:
        price = costs.said(costs.of_shape(shape))
        notify(f"{', '.join(off)} stopped and stays so; `start -c {there.name}` starts it (all nodes up: {price})")
        return shape
    if off and there is not None:
        notify(f"{stopped_part(there)} is stopped: starting it")
    starts = (shape.starts + 1) % _STARTS if off else shape.starts
    return evolve(shape, power="up", starts=starts)


def stopped_part(cluster: ClusterDescription) -> str:
    """What of a cluster is stopped, in words."""
    off = status.stopped(cluster)
    return f"cluster {cluster.name}" if len(off) == len(cluster.nodes) else f"{' and '.join(off)} of {cluster.name}"


def wait_until_off(stack: str, notify: Notify) -> None:
    """Where the cluster is switching itself off right now, wait until it is done: nodes that were started meanwhile
    would stay without their head."""
    left = autostopped.left(stack)
    cluster = described.last(stack) if left is not None and left.acted_at else None  # it may cost an engine call
    deadline, said = time.monotonic() + _LEAVING_S, False
    while cluster is not None and time.monotonic() < deadline:
        note = autostopped.note(cluster)
        if note is None or not note.acted_at or autostopped.is_off(cluster):
            return
        if not said:
            notify(f"cluster {stack} is switching itself off ({note.reason}): waiting for that")
        said = True
        with activity(notify, Step(Kind.WAIT, stack, "is switching itself off")):
            time.sleep(_POLL_S)


def _asked_apart(stack: str, notify: Notify, manner: Manner) -> Callable[[list[Risk]], bool]:
    """Lists nodes that would be taken away, and asks for that alone: another yes than the one to what it costs."""

    def may(found: list[Risk]) -> bool:
        for each in found:
            notify(f"{stack}: {each}, with all that is on it")
        others = [each.name for each in found if not any(each.is_of(node_id) for node_id in manner.taking)]
        return not others or manner.confirm(f"{stack}: {', '.join(others)} will be taken away. Go on?")

    return may


def _bad(there: ClusterDescription | None, notify: Notify) -> tuple[str, ...]:
    """Ids of the cordoned nodes of a cluster, which are made anew. The head stays: a cluster without it is another
    one."""
    found = cordoned.of(there) if there is not None else {}
    for node_id, each in found.items():
        if there is not None and node_id == there.head.id:
            notify(f"{node_id} is cordoned ({each.reason}), and stays: it is the head; `down` and `up` make it anew")
        else:
            notify(f"{node_id} is cordoned ({each.reason}): another machine takes its place")
    return tuple(node_id for node_id in found if there is not None and node_id != there.head.id)


def _drained(
    shape: Shape,
    there: ClusterDescription | None,
    anew: Collection[str],
    notify: Notify,
    *,
    force: bool,
    flush_s: float | None,
) -> AbstractContextManager[None]:
    """Keeps jobs away from the nodes that `shape` lacks, and the cordoned ones among those that are made `anew`; there
    is nobody to ask where the head is stopped."""
    wanted = {node.id for node in shape.nodes}
    if there is not None:
        wanted -= {each for each in cordoned.of(there) if each in anew}
    going = [node.id for node in there.nodes if node.id not in wanted] if there is not None else []
    if there is None or not going or there.head.id in status.stopped(there):
        return nullcontext()
    return leaving.drained(there, going, notify, force=force, flush_s=flush_s)


def _confirm_replacement(stack: str, before: Shape, shape: Shape, confirm: Confirm) -> None:
    """Ask before a change that other machines are needed for, where there is something to lose."""
    same = evolve(shape, nodes=before.nodes, ports=before.ports, policy=before.policy, managed=before.managed)
    if shape.cloud == before.cloud == "local":  # there the market is a mark
        same = evolve(same, machine=evolve(same.machine, capacity=before.machine.capacity))
    if same == before:
        return
    if described.describe(stack) is None:
        return
    fields = [name for name in ("cloud", "accelerators", "cpus", "isolation") if _differs(name, before, shape)]
    fields += ["place"] if _place(before) != _place(shape) else []
    fields += ["image"] if before.machine.image != shape.machine.image else []
    question = f"new {' and '.join(fields)} replace every node of {stack}"
    if not confirm(question + ". Go on?"):
        raise ResourcesMismatch(question, hint="-y agrees to that")


def _place(shape: Shape) -> tuple[str, str]:
    return shape.machine.region, shape.machine.zone


def _differs(name: str, before: Shape, shape: Shape) -> bool:
    return bool(getattr(before, name) != getattr(shape, name))
