"""Clusters coming, growing and going: what is written into a stack's config, and what is asked before it is done."""

from __future__ import annotations

import asyncio
import difflib
import math
import secrets
import string
from collections.abc import Callable

from attrs import evolve

from skyrig.cluster.description import Accelerators, ClusterDescription
from skyrig.cluster.shape import Shape, resized, stack_name
from skyrig.errors import BadInput, NoCapacity, SkyrigError
from skyrig.stack import config, described, stacks, status
from skyrig.stack.progress import Changes
from skyrig.task.model import Task

Notify = Callable[[str], None]
"""Takes one line for the reader."""

Confirm = Callable[[str], bool]
"""Asks the reader a question; false where the answer is no, or where nobody can be asked."""


def up(
    stack: str,
    notify: Notify,
    *,
    task: Task | None = None,
    nodes: int | None = None,
    cloud: str = "",
    confirm: Confirm = lambda question: False,
) -> ClusterDescription:
    """Bring the cluster of `stack` up, or repair it: afterwards it is what its config says, in which `task`, `nodes`
    and `cloud` are written first. A change that would replace live nodes is asked for."""
    before = config.read_shape(stack)
    shape = shape_for(before, task, nodes=nodes, cloud=cloud)
    _confirm_replacement(stack, before, shape, confirm)
    notify(_cost_line(stack, shape))
    changes = stacks.up(stack, shape, notify)
    notify(f"{stack}: {changes}")
    cluster = described.describe(stack)
    if cluster is None:
        raise SkyrigError(f"stack {stack} is up and exports no cluster", hint=f"look at `pulumi stack -s {stack}`")
    return cluster


def down(stack: str, notify: Notify) -> Changes:
    """Destroy the cluster of `stack`, sweep up what is left, and say so. Job records and logs stay."""
    from skyrig import local

    if not stacks.exists(stack):
        raise no_such_cluster(stack)
    _settle(stack, notify)
    changes = stacks.down(stack, notify)
    local.sweep(stack, notify)
    notify(f"{stack}: {changes}; job records and logs are kept")
    return changes


def ensure(stack: str, nodes: int | None, notify: Notify) -> ClusterDescription:
    """The cluster of `stack` with at least `nodes` nodes: as it is, repaired, grown, or brought up. Costs no engine
    call where all its nodes answer and they are enough."""
    shape = config.read_shape(stack)
    cluster = described.describe(stack)
    if cluster is None:
        return up(stack, notify, nodes=nodes)
    if nodes is not None and nodes > len(cluster.nodes):
        notify(f"cluster {stack} grows from {len(cluster.nodes)} to {nodes} nodes")
        return up(stack, notify, nodes=max(nodes, len(shape.nodes)))
    silent = [node.name for node in status.of([stack])[0].nodes if node.status != "UP"]
    if silent:
        notify(f"cluster {stack}: {', '.join(silent)} does not answer; looking after it")
        return up(stack, notify)
    return cluster


def shape_for(shape: Shape, task: Task | None, *, nodes: int | None = None, cloud: str = "") -> Shape:
    """`shape` with what a task asks of its nodes, and with `nodes` nodes. NoCapacity for a cloud other than local."""
    if cloud not in ("", "local"):
        raise NoCapacity(f"cloud {cloud} is not usable yet", hint="`--infra local` rehearses any task on this machine")
    if task is not None:
        asked = task.resources
        shape = evolve(shape, cloud="local", accelerators=asked.accelerators, cpus=math.ceil(asked.cpus))
        nodes = nodes or task.num_nodes
    return resized(shape, nodes) if nodes is not None else shape


def refuse_without_cloud(task: Task, cloud: str) -> None:
    """NoCapacity for a task that needs a cloud, unless the caller asked for a rehearsal on the local one."""
    if task.resources.needs_cloud and cloud != "local":
        asked = task.resources
        what = asked.cloud if asked.cloud not in ("", "local") else _accelerator_text(asked.accelerators)
        raise NoCapacity(
            f"the task asks for {what} and no cloud is usable yet", hint="`--infra local` rehearses it here"
        )


def refuse_misfit(cluster: ClusterDescription, task: Task) -> None:
    """BadInput for a task that asks for other accelerators than the nodes of a live cluster have."""
    asked, there = task.resources.accelerators, cluster.head.accelerators
    if asked.count and (asked.name.lower() != there.name.lower() or asked.count > there.count):
        raise BadInput(
            f"the task asks for {_accelerator_text(asked)}, nodes of {cluster.name} have {_accelerator_text(there)}",
            hint="launch it on a cluster of its own",
        )


def new_name(task: Task) -> str:
    """A name for a new cluster: the task's and four characters."""
    letters = string.ascii_lowercase + string.digits
    return stack_name(f"{(task.name or 'sky')[:50]}-{''.join(secrets.choice(letters) for _ in range(4))}")


def no_such_cluster(name: str) -> BadInput:
    """The error for a name that no cluster has, with the nearest one that there is."""
    names = stacks.known()
    near = difflib.get_close_matches(name, names, n=1)
    there = "there are: " + ", ".join(names) if names else "there is none yet"
    return BadInput(f"no cluster is called {name}", hint=f"did you mean {near[0]}?" if near else there)


def _settle(stack: str, notify: Notify) -> None:
    """Have job records and logs brought into the stack's own folder. A head that does not answer stops nobody from
    taking its cluster away: what it had recorded before is there already."""
    from skyrig.launch import client

    cluster = described.describe(stack)
    if cluster is None:
        return
    try:
        asyncio.run(client.settle(cluster))
    except SkyrigError as error:
        notify(f"records of the last jobs may be missing: {error.message}")


def _confirm_replacement(stack: str, before: Shape, shape: Shape, confirm: Confirm) -> None:
    """Ask before a change that other machines are needed for, where there is something to lose."""
    kept = evolve(shape, nodes=before.nodes, power=before.power)
    if kept == before:
        return
    if described.describe(stack) is None:
        return
    fields = [name for name in ("cloud", "accelerators", "cpus", "isolation") if _differs(name, before, shape)]
    question = f"new {' and '.join(fields)} replace every node of {stack}"
    if not confirm(question + ". Go on?"):
        raise BadInput(question, hint="-y agrees to that")


def _differs(name: str, before: Shape, shape: Shape) -> bool:
    return bool(getattr(before, name) != getattr(shape, name))


def _cost_line(stack: str, shape: Shape) -> str:
    count = len(shape.nodes)
    kind = _accelerator_text(shape.accelerators)
    return f"cluster {stack}: {count} node{'s' if count > 1 else ''} ({kind}) on the {shape.cloud} cloud, $0.00/h"


def _accelerator_text(accelerators: Accelerators) -> str:
    return f"{accelerators.name}:{accelerators.count}" if accelerators.count else "CPU"
