"""Clusters as they are wanted: enough nodes for a job, stopped, started, gone; and what is asked before."""

from __future__ import annotations

import asyncio
import difflib
import secrets
import string

from attrs import evolve

from skyrig import leaving, orders, schedulers
from skyrig.bringing import Asked, Confirm, Manner, Notify, nobody, stopped_part, up, wait_until_off
from skyrig.cluster.autostop import Autostop
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import NO_WISH, Wish
from skyrig.cluster.ports import missing
from skyrig.cluster.shape import stack_name
from skyrig.errors import BadInput, ClusterNotUp, NoSuchCluster
from skyrig.failover import journal
from skyrig.stack import datastacks, described, lock, stacks, status
from skyrig.stack.progress import Changes
from skyrig.task.model import Task


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
    if cluster.power.refused:
        raise BadInput(f"{stack} cannot be stopped: {cluster.power.refused}")
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
    confirm: Confirm = nobody,
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
        cluster = up(stack, notify, manner=Manner(confirm, retry=retry))
    if wanted is not None:
        autostop(stack, wanted, notify)
    return cluster


def autostop(stack: str, wanted: Autostop | None, notify: Notify) -> None:
    """Have the cluster of `stack` stop or end itself when it is idle, with no client alive; None cancels that. BadInput
    where it is not up, or its nodes cannot do that."""
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    if cluster.head.id in status.stopped(cluster):
        raise is_stopped(cluster)
    asyncio.run(schedulers.client(cluster).autostop(cluster, wanted))
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
    confirm: Confirm = nobody,
    wish: Wish = NO_WISH,
    *,
    retry: bool = False,
) -> ClusterDescription:
    """The cluster of `stack` with at least `nodes` nodes, `ports` open and the limits and time to live of `wish`: as it
    is, repaired, grown, or brought up. Costs no engine call where all its nodes answer, they are enough, no port is to
    be opened and nothing is wished for."""
    wait_until_off(stack, notify)
    being_made = lock.is_held(stack)
    cluster = described.describe(stack)
    if cluster is not None and cluster.is_queue:
        return cluster
    there = len(cluster.nodes) if cluster is not None else 0
    manner, asked = Manner(confirm, retry=retry), Asked(ports=ports, wish=wish, at_least=True)
    if nodes is not None and nodes > there:
        if there:
            notify(f"cluster {stack} grows from {there} to {nodes} nodes")
        wanted = len(stacks.settled(stack, notify).nodes) if there or being_made else 0
        return up(stack, notify, evolve(asked, nodes=max(nodes, wanted)), manner)
    if cluster is None or wish:
        return up(stack, notify, asked, manner)
    if closed := missing(ports, cluster.ports):
        notify(f"cluster {stack} opens {', '.join(closed)}")
        return up(stack, notify, asked, manner)
    found = status.of([stack])[0]
    silent = [node.name for node in found.nodes if node.status == "DOWN"]
    if silent:
        notify(f"cluster {stack}: {', '.join(silent)} does not answer; looking after it")
    if found.status == "UP":
        orders.keep_ttl(stack, cluster, notify)  # plain `pulumi up` tells no head
        return cluster
    return up(stack, notify, Asked(at_least=True), manner)


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
    return ClusterNotUp(f"{stopped_part(cluster)} is stopped", hint=f"`start -c {cluster.name}` brings it back")


def not_up(stack: str) -> ClusterNotUp:
    """The error for something that only a cluster which is there can do."""
    return ClusterNotUp(f"cluster {stack} is not up", hint=f"bring it up with `up -c {stack}`")


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
