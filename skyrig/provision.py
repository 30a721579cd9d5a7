"""Clusters coming, growing, stopping and going: what is written into a stack's config, and what is asked before."""

from __future__ import annotations

import asyncio
import difflib
import secrets
import string
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

from attrs import evolve

from skyrig import leaving, orders, renting
from skyrig.acquiring import Wanted, acquire
from skyrig.catalog import costs
from skyrig.cluster.autostop import Autostop
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import NO_WISH, Wish
from skyrig.cluster.ports import missing
from skyrig.cluster.shape import Shape, stack_name
from skyrig.errors import BadInput, ClusterNotUp, EngineError, NoSuchCluster, ResourcesMismatch, SkyrigError
from skyrig.failover import journal, rounds
from skyrig.failover.attempts import NoneLeft
from skyrig.fitting import note_served, shape_for
from skyrig.progress import Kind, Step, activity
from skyrig.stack import autostopped, datastacks, described, lock, powers, stacks, status
from skyrig.stack.foreseen import Forecast, PlannedUp
from skyrig.stack.progress import Changes
from skyrig.stack.risks import Risk
from skyrig.task.model import Task

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_STARTS = 10_000
"""Where counting starts begins again: only that the number is another one matters."""

_LEAVING_S = 120.0
"""How long a cluster that is switching itself off is waited for; skyrig.launch.keeper.parting says what that takes."""

_CENT = 0.01
_POLL_S = 0.1

Confirm = Callable[[str], bool]
"""Asks the reader a question; false where the answer is no, or where nobody can be asked."""


def up(
    stack: str,
    notify: Notify,
    *,
    task: Task | None = None,
    nodes: int | None = None,
    ports: tuple[str, ...] = (),
    reaches: Iterable[str] = (),
    wish: Wish = NO_WISH,
    confirm: Confirm = lambda question: False,
    force: bool = False,
    flush_s: float | None = None,
    at_least: bool = False,
    starting: bool = True,
    planned: PlannedUp | None = None,
    retry: bool = False,
) -> ClusterDescription:
    """Bring the cluster of `stack` up, start it, or repair it: afterwards it is what its config says, in which `task`,
    `nodes`, `wish` (limits, time to live), and `ports` and `reaches` (buckets) beside those that are there, are written
    first. A change that would
    replace live nodes is asked for, and so is all that costs money. Nodes that are to go take no new jobs; where jobs
    run there it is BadInput, unless `force`; `flush_s` as for `stop`. With `at_least`, nodes stay that another run has
    asked for while this one waited for it. Without `starting`, nodes that cost money and stopped themselves stay as
    they are. Where nothing is there yet, one offer after the other is tried, until one is up; with `retry` in rounds
    that do not end before. What was `planned` is done exactly; BadInput, and nothing is made, where that cannot be.
    BadInput for a stack of data."""
    stacks.refuse_data(stack)
    if task is not None:
        note_served(task, notify)
    _wait_until_off(stack, notify)
    is_new = not stacks.is_there(stack)
    before, there = stacks.settled(stack, notify), described.describe(stack)
    if planned is not None:
        shape = _as_planned(planned, None if is_new else before)
    else:
        shape = shape_for(before, task, nodes=nodes, ports=ports, reaches=reaches)
        shape = with_policy(shape, wish, new=there is None)
    _confirm_replacement(stack, before, shape, confirm)
    power = powers.of(there) if there is not None else {}
    shape = _started(shape, there, power, notify, also_paid=starting)
    may = _asked_apart(stack, notify, confirm)
    for line in stacks.within_limits(stack, shape):
        notify(line)
    if there is None and (old := costs.remark(shape)):
        notify(f"cluster {stack}: {old}")
    if there is None and shape.cloud != "local" and planned is None:
        changes = acquire(stack, Wanted(before, shape, task, at_least, retry), notify, confirm, may)
        if changes is None:
            return up(stack, notify, task=task, nodes=nodes, ports=ports, reaches=reaches, wish=wish, confirm=confirm,
                      force=force, flush_s=flush_s, at_least=at_least, starting=starting, retry=retry)  # fmt: skip
        cluster = _described(stack, changes, notify)
        orders.keep_ttl(stack, cluster, notify)
        return cluster
    shape = renting.settled(shape)
    note = autostopped.note(there) if there is not None else None
    turned_on = (shape.starts, shape.power) != (before.starts, before.power)
    arriving = coming(shape, power, turned_on=turned_on)
    if arriving and there is not None and (old := costs.remark(shape)):
        notify(f"cluster {stack}: {old}")
    renting.agree(stack, shape, arriving, confirm)
    with _drained(shape, there, notify, force=force, flush_s=flush_s):
        notify(f"cluster {stack}: {shape}, {costs.said(costs.of_shape(shape))}")
        forecast = planned.forecast if planned is not None else None
        changes = _grown(
            stack,
            shape,
            notify,
            before=before,
            at_least=at_least,
            new=there is None,
            may=may,
            retry=retry,
            planned=forecast,
        )
    journal.clear(stack)
    cluster = _described(stack, changes, notify)
    if note is not None and note.idle_s is not None:
        orders.keep_autostop(cluster, note, notify)
    orders.keep_ttl(stack, cluster, notify)
    return cluster


def stop(
    stack: str,
    notify: Notify,
    confirm: Confirm = lambda question: True,
    *,
    force: bool = False,
    flush_s: float | None = None,
) -> Changes:
    """Stop the nodes of `stack`, after its jobs have been ended, their records brought home and their files brought to
    their buckets: where these do not get there within `flush_s` seconds (None: what `skyrig.leaving` gives them) it is
    BadInput, unless `force`. The nodes keep their disks; `start` brings the same ones back."""
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    shape = stacks.settled(stack, notify)
    if shape.power == "stopped" and status.is_stopped(cluster):
        notify(f"cluster {stack} is stopped already")
        return Changes()
    _wind_up(stack, cluster, "stop", "the cluster was stopped", notify, confirm, force=force, flush_s=flush_s)
    changes = stacks.up(stack, evolve(shape, power="stopped"), notify)
    billed = ", ".join(cluster.power.billed_when_stopped) or "nothing"
    notify(f"{stack}: {changes}; still paid for: {billed}; `start -c {stack}` brings it back")
    return changes


def start(
    stack: str,
    notify: Notify,
    wanted: Autostop | None = None,
    confirm: Confirm = lambda question: False,
    *,
    retry: bool = False,
) -> ClusterDescription:
    """Start the nodes of `stack`, also those that stopped themselves, and set autostop as `wanted` if given; the
    cluster as it is then. Where that costs money it is asked for. With `retry` it is tried until there is capacity."""
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    if stacks.settled(stack, notify).power == "up" and status.of([stack])[0].status == "UP":
        notify(f"cluster {stack} is up already")
    else:
        cluster = up(stack, notify, confirm=confirm, retry=retry)
    if wanted is not None:
        autostop(stack, wanted, notify)
    return cluster


def autostop(stack: str, wanted: Autostop | None, notify: Notify) -> None:
    """Have the cluster of `stack` stop or end itself when it is idle, with no client alive; None cancels that. BadInput
    where it is not up, or its nodes cannot do that."""
    from skyrig.launch import client

    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    if cluster.head.id in status.stopped(cluster):
        raise is_stopped(cluster)
    asyncio.run(client.autostop(cluster, wanted))
    notify(f"{stack} {wanted}" if wanted is not None else f"{stack} stays as it is: no autostop")


def down(
    stack: str,
    notify: Notify,
    confirm: Confirm = lambda question: True,
    *,
    force: bool = False,
    flush_s: float | None = None,
) -> Changes:
    """Destroy the cluster of `stack` after its jobs have been ended and their files brought to their buckets, sweep up
    what is left, and say so. Job records and logs stay. Files that do not get to their buckets make it BadInput, unless
    `force`; `flush_s` as for `stop`."""
    from skyrig import local

    if not stacks.exists(stack):
        raise no_such_cluster(stack)
    cluster = described.describe(stack)
    _wind_up(stack, cluster, "destroy", "the cluster was taken down", notify, confirm, force=force, flush_s=flush_s)
    journal.clear(stack)
    changes = stacks.down(stack, notify)
    local.sweep(stack, notify)
    notify(f"{stack}: {changes}; job records and logs are kept")
    if kept := [f"{bucket.name} ({bucket.url})" for bucket in datastacks.buckets(datastacks.of(stack))]:
        notify(f"{stack}: buckets stay: {', '.join(kept)}; `storage.delete NAME` deletes one")
    return changes


def ensure(
    stack: str,
    nodes: int | None,
    notify: Notify,
    ports: tuple[str, ...] = (),
    confirm: Confirm = lambda question: False,
    wish: Wish = NO_WISH,
    *,
    retry: bool = False,
) -> ClusterDescription:
    """The cluster of `stack` with at least `nodes` nodes, `ports` open and the limits and time to live of `wish`: as it
    is, repaired, grown, or brought up. Costs no engine call where all its nodes answer, they are enough, no port is to
    be opened and nothing is wished for."""
    _wait_until_off(stack, notify)
    being_made = lock.is_held(stack)
    cluster = described.describe(stack)
    there = len(cluster.nodes) if cluster is not None else 0
    if nodes is not None and nodes > there:
        if there:
            notify(f"cluster {stack} grows from {there} to {nodes} nodes")
        wanted = len(stacks.settled(stack, notify).nodes) if there or being_made else 0
        return up(
            stack, notify, nodes=max(nodes, wanted), ports=ports, wish=wish, at_least=True, confirm=confirm, retry=retry
        )
    if cluster is None or wish:
        return up(stack, notify, ports=ports, wish=wish, at_least=True, confirm=confirm, retry=retry)
    if closed := missing(ports, cluster.ports):
        notify(f"cluster {stack} opens {', '.join(closed)}")
        return up(stack, notify, ports=ports, at_least=True, confirm=confirm, retry=retry)
    found = status.of([stack])[0]
    silent = [node.name for node in found.nodes if node.status == "DOWN"]
    if silent:
        notify(f"cluster {stack}: {', '.join(silent)} does not answer; looking after it")
    if found.status == "UP":
        orders.keep_ttl(stack, cluster, notify)  # plain `pulumi up` tells no head
        return cluster
    return up(stack, notify, at_least=True, confirm=confirm, retry=retry)


def new_name(task: Task) -> str:
    """A name for a new cluster: the task's and four characters."""
    letters = string.ascii_lowercase + string.digits
    return stack_name(f"{(task.name or 'sky')[:50]}-{''.join(secrets.choice(letters) for _ in range(4))}")


def no_such_cluster(name: str) -> NoSuchCluster:
    """The error for a name that no cluster has, with the nearest one that there is."""
    if stacks.is_there(name):
        return NoSuchCluster(f"{name} holds buckets and is no cluster")
    names = stacks.known()
    near = difflib.get_close_matches(name, names, n=1)
    there = "there are: " + ", ".join(names) if names else "there is none yet"
    return NoSuchCluster(f"no cluster is called {name}", hint=f"did you mean {near[0]}?" if near else there)


def is_stopped(cluster: ClusterDescription) -> ClusterNotUp:
    """The error for something that only running nodes can do."""
    return ClusterNotUp(f"{_stopped_part(cluster)} is stopped", hint=f"`start -c {cluster.name}` brings it back")


def not_up(stack: str) -> ClusterNotUp:
    """The error for something that only a cluster which is there can do."""
    return ClusterNotUp(f"cluster {stack} is not up", hint=f"bring it up with `up -c {stack}`")


def with_policy(shape: Shape, wish: Wish, *, new: bool) -> Shape:
    """`shape` with the limits and the time to live that are asked for; of a new cluster that counts from now."""
    policy = shape.policy
    if new and policy.ttl is not None:
        policy = evolve(policy, ttl=evolve(policy.ttl, ends_at=0.0))
    return stacks.counted(evolve(shape, policy=wish.applied(policy, time.time())))


def _asked_apart(stack: str, notify: Notify, confirm: Confirm) -> Callable[[list[Risk]], bool]:
    """Lists nodes that would be taken away, and asks for that alone: another yes than the one to what it costs."""

    def may(found: list[Risk]) -> bool:
        for each in found:
            notify(f"{stack}: {each}, with all that is on it")
        return confirm(f"{stack}: {', '.join(each.name for each in found)} will be taken away. Go on?")

    return may


def _described(stack: str, changes: Changes, notify: Notify) -> ClusterDescription:
    """The cluster as it is after `changes`."""
    notify(f"{stack}: {changes}")
    cluster = described.describe(stack, fresh=True, notify=notify)
    if cluster is None:
        raise SkyrigError(f"stack {stack} is up and exports no cluster", hint=f"look at `pulumi stack -s {stack}`")
    return cluster


def _grown(
    stack: str,
    shape: Shape,
    notify: Notify,
    *,
    before: Shape,
    at_least: bool,
    new: bool,
    may: Callable[[list[Risk]], bool],
    retry: bool,
    planned: Forecast | None = None,
) -> Changes:
    """Make a cluster what `shape` says, in its own place; where its cloud refuses a node, what it was before."""

    def once(_: float, __: int) -> Changes:
        try:
            return stacks.up(stack, shape, notify, before=before if at_least else None, may=may, planned=planned)
        except EngineError as error:
            refusal = renting.refused(shape, error)
            if refusal is None:
                raise
            notify(f"{refusal.message}: removing what was made")
            if new:
                stacks.down(stack, notify)
            else:
                stacks.up(stack, before, notify)
            raise NoneLeft(refusal.message, hint=refusal.hint) from error

    return rounds.until_up(once, notify, rounds.pauses(), stack) if retry else once(0.0, 1)


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
    if off and there is not None and shape.cloud != "local" and shape.power == "up" and not also_paid:
        price = costs.said(costs.of_shape(shape))
        notify(f"{', '.join(off)} stopped and stays so; `start -c {there.name}` starts it (all nodes up: {price})")
        return shape
    if off and there is not None:
        notify(f"{_stopped_part(there)} is stopped: starting it")
    starts = (shape.starts + 1) % _STARTS if off else shape.starts
    return evolve(shape, power="up", starts=starts)


def _wait_until_off(stack: str, notify: Notify) -> None:
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


def _stopped_part(cluster: ClusterDescription) -> str:
    """What of a cluster is stopped, in words."""
    off = status.stopped(cluster)
    return f"cluster {cluster.name}" if len(off) == len(cluster.nodes) else f"{' and '.join(off)} of {cluster.name}"


def _drained(
    shape: Shape, there: ClusterDescription | None, notify: Notify, *, force: bool, flush_s: float | None
) -> AbstractContextManager[None]:
    """Keeps jobs away from the nodes that `shape` lacks; there is nobody to ask where the head is stopped."""
    wanted = {node.id for node in shape.nodes}
    going = [node.id for node in there.nodes if node.id not in wanted] if there is not None else []
    if there is None or not going or there.head.id in status.stopped(there):
        return nullcontext()
    return leaving.drained(there, going, notify, force=force, flush_s=flush_s)


def _wind_up(
    stack: str,
    cluster: ClusterDescription | None,
    verb: str,
    reason: str,
    notify: Notify,
    confirm: Confirm,
    *,
    force: bool,
    flush_s: float | None,
) -> None:
    """Name the jobs that end, ask whether to `verb`, end them, and wait for their files to be in their buckets. Where
    no head can answer there is nothing to end."""
    awake = cluster is not None and cluster.head.id not in status.stopped(cluster)
    jobs = leaving.unfinished(cluster, notify) if cluster is not None and awake else None
    if jobs:
        notify(f"this ends {', '.join(f'job {job.id} ({job.name})' for job in jobs)}")
    if not confirm(f"{verb} {stack}?"):
        raise BadInput(f"{stack}: nothing was changed")
    if cluster is not None and jobs is not None:
        leaving.wind_up(cluster, jobs, reason, notify)
        left = leaving.flush(cluster, notify, force=force, flush_s=flush_s)
        for each in left:
            notify(f"{stack}: not in its bucket: {each}")
        if left and not force:
            raise BadInput(
                f"{stack} goes on: files are not in their buckets",
                hint="try again, with a longer --flush-timeout, or --force",
            )


def _confirm_replacement(stack: str, before: Shape, shape: Shape, confirm: Confirm) -> None:
    """Ask before a change that other machines are needed for, where there is something to lose."""
    kept = evolve(shape, nodes=before.nodes, ports=before.ports, policy=before.policy)
    if kept == before:
        return
    if described.describe(stack) is None:
        return
    fields = [name for name in ("cloud", "accelerators", "cpus", "isolation") if _differs(name, before, shape)]
    question = f"new {' and '.join(fields)} replace every node of {stack}"
    if not confirm(question + ". Go on?"):
        raise ResourcesMismatch(question, hint="-y agrees to that")


def _differs(name: str, before: Shape, shape: Shape) -> bool:
    return bool(getattr(before, name) != getattr(shape, name))
