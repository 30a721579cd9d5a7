"""Clusters coming, growing, stopping and going: what is written into a stack's config, and what is asked before."""

from __future__ import annotations

import asyncio
import difflib
import math
import re
import secrets
import string
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from attrs import evolve

from skyrig import leaving
from skyrig.cluster.autostop import Autostop, AutostopNote
from skyrig.cluster.description import Accelerators, ClusterDescription
from skyrig.cluster.ports import missing, union
from skyrig.cluster.shape import Shape, resized, stack_name
from skyrig.errors import BadInput, ClusterNotUp, NoCapacity, NoSuchCluster, ResourcesMismatch, SkyrigError
from skyrig.launch import serving
from skyrig.progress import Kind, Step, activity
from skyrig.stack import autostopped, described, lock, stacks, status
from skyrig.stack.progress import Changes
from skyrig.task.model import Task
from skyrig.task.quantities import least_cores
from skyrig.task.resources import Resources

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_STARTS = 10_000
"""Where counting starts begins again: only that the number is another one matters."""

_LEAVING_S = 120.0
"""How long a cluster that is switching itself off is waited for; skyrig.launch.keeper.parting says what that takes."""

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
    confirm: Confirm = lambda question: False,
    force: bool = False,
    at_least: bool = False,
) -> ClusterDescription:
    """Bring the cluster of `stack` up, start it, or repair it: afterwards it is what its config says, in which `task`,
    `nodes` and `ports` (beside the open ones) are written first. A change that would replace live nodes is asked for.
    Nodes that are to go take no new jobs; where jobs run there it is BadInput, unless `force`. With `at_least`, nodes
    stay that another run has asked for while this one waited for it."""
    if task is not None:
        note_served(task, notify)
    _wait_until_off(stack, notify)
    before, there = stacks.settled(stack, notify), described.describe(stack)
    shape = shape_for(before, task, nodes=nodes, ports=ports)
    _confirm_replacement(stack, before, shape, confirm)
    shape = _started(shape, there, notify)
    note = autostopped.note(there) if there is not None else None
    with _drained(shape, there, notify, force=force):
        notify(f"cluster {stack}: {shape}")
        changes = stacks.up(stack, shape, notify, before=before if at_least else None)
    notify(f"{stack}: {changes}")
    cluster = described.describe(stack, fresh=True, notify=notify)
    if cluster is None:
        raise SkyrigError(f"stack {stack} is up and exports no cluster", hint=f"look at `pulumi stack -s {stack}`")
    if note is not None and note.idle_s is not None:
        _keep_autostop(cluster, note, notify)
    return cluster


def stop(stack: str, notify: Notify, confirm: Confirm = lambda question: True) -> Changes:
    """Stop the nodes of `stack`, after its jobs have been ended and their records brought home. The nodes keep their
    disks; `start` brings the same ones back."""
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    shape = stacks.settled(stack, notify)
    if shape.power == "stopped" and status.is_stopped(cluster):
        notify(f"cluster {stack} is stopped already")
        return Changes()
    _wind_up(stack, cluster, "stop", "the cluster was stopped", notify, confirm)
    changes = stacks.up(stack, evolve(shape, power="stopped"), notify)
    billed = ", ".join(cluster.power.billed_when_stopped) or "nothing"
    notify(f"{stack}: {changes}; still paid for: {billed}; `start -c {stack}` brings it back")
    return changes


def start(stack: str, notify: Notify, wanted: Autostop | None = None) -> ClusterDescription:
    """Start the nodes of `stack`, also those that stopped themselves, and set autostop as `wanted` if given; the
    cluster as it is then."""
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    if stacks.settled(stack, notify).power == "up" and status.of([stack])[0].status == "UP":
        notify(f"cluster {stack} is up already")
    else:
        cluster = up(stack, notify)
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


def down(stack: str, notify: Notify, confirm: Confirm = lambda question: True) -> Changes:
    """Destroy the cluster of `stack` after its jobs have been ended, sweep up what is left, and say so. Job records
    and logs stay."""
    from skyrig import local

    if not stacks.exists(stack):
        raise no_such_cluster(stack)
    _wind_up(stack, described.describe(stack), "destroy", "the cluster was taken down", notify, confirm)
    changes = stacks.down(stack, notify)
    local.sweep(stack, notify)
    notify(f"{stack}: {changes}; job records and logs are kept")
    return changes


def ensure(stack: str, nodes: int | None, notify: Notify, ports: tuple[str, ...] = ()) -> ClusterDescription:
    """The cluster of `stack` with at least `nodes` nodes and `ports` open: as it is, repaired, grown, or brought up.
    Costs no engine call where all its nodes answer, they are enough, and no port is to be opened."""
    _wait_until_off(stack, notify)
    being_made = lock.is_held(stack)
    cluster = described.describe(stack)
    there = len(cluster.nodes) if cluster is not None else 0
    if nodes is not None and nodes > there:
        if there:
            notify(f"cluster {stack} grows from {there} to {nodes} nodes")
        wanted = len(stacks.settled(stack, notify).nodes) if there or being_made else 0
        return up(stack, notify, nodes=max(nodes, wanted), ports=ports, at_least=True)
    if cluster is None:
        return up(stack, notify, ports=ports, at_least=True)
    if closed := missing(ports, cluster.ports):
        notify(f"cluster {stack} opens {', '.join(closed)}")
        return up(stack, notify, ports=ports, at_least=True)
    found = status.of([stack])[0]
    silent = [node.name for node in found.nodes if node.status == "DOWN"]
    if silent:
        notify(f"cluster {stack}: {', '.join(silent)} does not answer; looking after it")
    return cluster if found.status == "UP" else up(stack, notify, at_least=True)


def shape_for(shape: Shape, task: Task | None, *, nodes: int | None = None, ports: tuple[str, ...] = ()) -> Shape:
    """`shape` with what a task and the caller ask for instead; ports come beside those that are open, unless the
    cluster was taken down. NoCapacity where only a cloud has that."""
    if task is not None:
        asked = local_candidate(task)
        cores = math.ceil(least_cores(asked.cpus))
        shape = evolve(shape, cloud="local", accelerators=accelerators_of(asked), cpus=cores)
        shape = evolve(shape, ports=() if shape.power == "down" else shape.ports)
        nodes, ports = nodes or task.num_nodes, union(ports, ports_of(task))
    shape = evolve(shape, ports=union(shape.ports, ports))
    return resized(shape, nodes) if nodes is not None else shape


def rendered_shape(shape: Shape, task: Task) -> Shape:
    """The same for a task that is only shown: what no cloud here has is taken as if one had it."""
    if any(not each.needs_cloud for each in task.choice.each):
        return shape_for(shape, task)
    asked = task.resources
    wanted = evolve(shape, cloud=asked.infra.cloud or "<cloud>", accelerators=accelerators_of(asked))
    return resized(wanted, task.num_nodes)


def ports_of(task: Task) -> tuple[str, ...]:
    """Ports that a task wants open: those that it names, else those that its `run` text plainly serves on."""
    named = union(*(each.ports or () for each in task.choice.each))
    return named or union([str(served.port) for served in serving.ports(task.run or "")])


def note_served(task: Task, notify: Notify) -> None:
    """Say which ports are opened although the task names none."""
    for served in serving.ports(task.run or "") if not any(each.ports for each in task.choice.each) else ():
        notify(f"{served.note}: opening it")


def local_candidate(task: Task) -> Resources:
    """What the local cloud shall make of a task: the first candidate that it can. NoCapacity where none is."""
    fitting = [each for each in task.choice.each if not each.needs_cloud]
    if not fitting:
        wishes = list(dict.fromkeys(str(each.infra) or str(each.accelerator) for each in task.choice.each))
        what = " or ".join([", ".join(wishes[:-1]), wishes[-1]] if len(wishes) > 1 else wishes)
        raise NoCapacity(
            f"the task asks for {what} and no cloud is usable yet", hint="`--infra local` rehearses it here"
        )
    return fitting[0]


def accelerators_of(asked: Resources) -> Accelerators:
    """The accelerators that nodes shall have, a share of one as one; those asked for by memory under a plain name."""
    if asked.accelerator is None:
        return Accelerators()
    name = "-".join(re.findall(r"[A-Za-z0-9._-]+", asked.accelerator.name))
    return Accelerators(name=name, count=asked.accelerator_count)


def misfit(cluster: ClusterDescription, task: Task) -> str | None:
    """How the nodes of a live cluster differ from what a task asks for; None where one of its candidates fits."""
    reasons = [_misfit(cluster, each) for each in task.choice.each]
    return None if None in reasons else reasons[0]


def refuse_misfit(cluster: ClusterDescription, task: Task) -> None:
    """BadInput for a task that asks for more than the nodes of a live cluster have."""
    reason = misfit(cluster, task)
    if reason is not None:
        raise ResourcesMismatch(reason, hint="launch it on a cluster of its own")


def _misfit(cluster: ClusterDescription, asked: Resources) -> str | None:
    there, wanted = cluster.head, accelerators_of(asked)
    has = f"nodes of {cluster.name} have"
    if wanted.count and (
        wanted.name.lower() != there.accelerators.name.lower() or wanted.count > there.accelerators.count
    ):
        return f"the task asks for {_accelerator_text(wanted)}, {has} {_accelerator_text(there.accelerators)}"
    if cluster.cloud != "local" and least_cores(asked.cpus) > there.cpus:  # local nodes only declare theirs
        return f"the task asks for {asked.cpus} cores, {has} {there.cpus:g}"
    if asked.infra.cloud not in (None, cluster.cloud):
        return f"the task asks for {asked.infra}, {cluster.name} is on the {cluster.cloud} cloud"
    return None


def new_name(task: Task) -> str:
    """A name for a new cluster: the task's and four characters."""
    letters = string.ascii_lowercase + string.digits
    return stack_name(f"{(task.name or 'sky')[:50]}-{''.join(secrets.choice(letters) for _ in range(4))}")


def no_such_cluster(name: str) -> NoSuchCluster:
    """The error for a name that no cluster has, with the nearest one that there is."""
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


def _started(shape: Shape, there: ClusterDescription | None, notify: Notify) -> Shape:
    """`shape` with power up; nodes that stopped themselves, which the last deployment does not know, are started
    too."""
    off = status.stopped(there) if there is not None else []
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


def _keep_autostop(cluster: ClusterDescription, note: AutostopNote, notify: Notify) -> None:
    """Autostop was set before the cluster changed: its head must know all nodes that it is to switch off, and a head
    that was made anew must be told of it."""
    from skyrig.launch import client

    wanted = Autostop(math.ceil((note.idle_s or 0) / 60), note.down, note.wait_for)
    same = cluster.head.incarnation == note.head
    try:
        asyncio.run(client.acquaint(cluster) if same else client.autostop(cluster, wanted))
    except SkyrigError as error:
        notify(f"autostop may not be set any more: {error.message}")


def _stopped_part(cluster: ClusterDescription) -> str:
    """What of a cluster is stopped, in words."""
    off = status.stopped(cluster)
    return f"cluster {cluster.name}" if len(off) == len(cluster.nodes) else f"{' and '.join(off)} of {cluster.name}"


def _drained(
    shape: Shape, there: ClusterDescription | None, notify: Notify, *, force: bool
) -> AbstractContextManager[None]:
    """Keeps jobs away from the nodes that `shape` lacks; there is nobody to ask where the head is stopped."""
    wanted = {node.id for node in shape.nodes}
    going = [node.id for node in there.nodes if node.id not in wanted] if there is not None else []
    if there is None or not going or there.head.id in status.stopped(there):
        return nullcontext()
    return leaving.drained(there, going, notify, force=force)


def _wind_up(
    stack: str, cluster: ClusterDescription | None, verb: str, reason: str, notify: Notify, confirm: Confirm
) -> None:
    """Name the jobs that end, ask whether to `verb`, and end them. Where no head can answer there is nothing to end."""
    awake = cluster is not None and cluster.head.id not in status.stopped(cluster)
    jobs = leaving.unfinished(cluster, notify) if cluster is not None and awake else None
    if jobs:
        notify(f"this ends {', '.join(f'job {job.id} ({job.name})' for job in jobs)}")
    if not confirm(f"{verb} {stack}?"):
        raise BadInput(f"{stack}: nothing was changed")
    if cluster is not None and jobs is not None:
        leaving.wind_up(cluster, jobs, reason, notify)


def _confirm_replacement(stack: str, before: Shape, shape: Shape, confirm: Confirm) -> None:
    """Ask before a change that other machines are needed for, where there is something to lose."""
    kept = evolve(shape, nodes=before.nodes, ports=before.ports)
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


def _accelerator_text(accelerators: Accelerators) -> str:
    return f"{accelerators.name}:{accelerators.count}" if accelerators.count else "CPU"
