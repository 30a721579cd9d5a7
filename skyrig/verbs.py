"""The verbs of Skyrig as functions: what the command line and the Python API (skyrig/sdk/) call.

Each checks all that can be checked before anything is made. `notify` takes lines for the reader, `out` the bytes that
jobs write. Functions that run or follow a job return its exit code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from attrs import evolve

from skyrig import batching, imaging, models, owning, places, provision, rendering, renting, schedulers
from skyrig.bringing import Asked, Confirm, Manner, Notify, nobody, up
from skyrig.cluster.autostop import Autostop
from skyrig.cluster.description import Accelerators, ClusterDescription
from skyrig.cluster.policy import NO_WISH
from skyrig.cluster.ports import numbers
from skyrig.errors import BadInput, ClusterNotUp, NodeLost, SkyrigError
from skyrig.failover import journal
from skyrig.fitting import refuse_misfit, rendered_shape
from skyrig.launch.job import JobRecord
from skyrig.launch.submission import Submission
from skyrig.provision import ensure, is_stopped, no_such_cluster, not_up
from skyrig.rendering import RenderedRank
from skyrig.stack import adoption, config, described, stacks, status
from skyrig.stack import endpoints as endpoints_of
from skyrig.stack.progress import Changes
from skyrig.stack.status import ClusterStatus
from skyrig.submitting import (
    RunOptions,
    buckets_of,
    for_exec,
    for_launch,
    mounts_of,
    refuse_outside_home,
    stopping,
    task_request,
    training_request,
)
from skyrig.task.model import Task
from skyrig.training import TrainingRun

__all__ = [
    "Autostop",
    "RunOptions",
    "autostop",
    "cancel",
    "clusters",
    "down",
    "endpoints",
    "exec_",
    "exec_job",
    "launch",
    "launch_job",
    "logs",
    "queue",
    "render_task",
    "render_training",
    "saved_logs",
    "start",
    "stop",
    "train",
    "up",
]


def train(
    stack: str,
    run: TrainingRun,
    options: RunOptions,
    out: BinaryIO,
    notify: Notify,
    *,
    machines: Task | None = None,
    confirm: Confirm = lambda question: False,
) -> int:
    """Run a training script on the nodes of `stack`, which is brought up or grown if it has too few. `machines` says
    what its nodes shall be on a cloud, as a task that says nothing else."""
    owning.refuse(stack, "train")
    config.read_shape(stack)
    training_request(run, 1, Accelerators(), options)
    there = described.describe(stack) if machines is not None else None
    if machines is not None and there is not None:
        refuse_misfit(there, machines)
    elif machines is not None:
        asked = Asked(stopping(machines, options.autostop), options.nodes, options.ports, wish=options.wish)
        up(stack, notify, asked, Manner(confirm, retry=options.retry_until_up))
    wish = options.wish if machines is None or there is not None else NO_WISH
    cluster = ensure(stack, options.nodes, notify, options.ports, confirm, wish, retry=options.retry_until_up)
    request = training_request(
        run, options.nodes or (1 if cluster.scheduler else len(cluster.nodes)), cluster.head.accelerators, options
    )
    ttl = config.read_shape(stack).policy.ttl
    what = Submission(request, run.workdir, autostop=options.autostop, ttl=ttl)
    code = _submitted(cluster, what, options, out, notify)
    if code == 0 and not options.detach:
        _bring_models(cluster, notify)
    return code


def launch(
    task: Task,
    stack: str | None,
    options: RunOptions,
    out: BinaryIO,
    notify: Notify,
    *,
    confirm: Confirm = lambda question: False,
) -> int:
    """Run a task: provision, sync, set up, run. Without `stack` a new one is made, named after the task. On a live
    cluster that the task's resources do not fit, what would change is told and asked for."""
    owning.refuse(stack, "launch")
    cluster, what = for_launch(task, stack, options, notify, confirm)
    return _submitted(cluster, what, options, out, notify) if what is not None else 0


def launch_job(
    task: Task, stack: str | None, options: RunOptions, notify: Notify
) -> tuple[ClusterDescription, JobRecord | None]:
    """`launch` without following: the cluster, and the job as it was submitted (None where there was nothing to run).
    Nodes of a live cluster that the task does not fit are not replaced: that is BadInput. What costs money is agreed
    to."""
    owning.refuse(stack, "launch")
    cluster, what = for_launch(task, stack, options, notify, renting.pays)
    if what is None:
        return cluster, None
    return cluster, asyncio.run(schedulers.client(cluster).submit(cluster, what, _current(cluster), notify))


def exec_(task: Task, stack: str, options: RunOptions, out: BinaryIO, notify: Notify) -> int:
    """Sync the workdir and run a task on a cluster that is up: no provisioning, no setup, no mounts."""
    owning.refuse(stack, "exec")
    cluster, what = for_exec(task, stack, options, notify)
    return _submitted(cluster, what, options, out, notify)


def exec_job(task: Task, stack: str, options: RunOptions, notify: Notify) -> tuple[ClusterDescription, JobRecord]:
    """`exec_` without following: the cluster, and the job as it was submitted."""
    owning.refuse(stack, "exec")
    cluster, what = for_exec(task, stack, options, notify)
    return cluster, asyncio.run(schedulers.client(cluster).submit(cluster, what, _current(cluster), notify))


def down(
    stack: str,
    notify: Notify,
    confirm: Confirm = lambda question: True,
    *,
    force: bool = False,
    flush_s: float | None = None,
) -> Changes:
    """Destroy the cluster of `stack`, as `skyrig.provision.down` does; the service that it carries, or the managed job
    that it was made for, goes with it. BadInput where it is the controller's node, and jobs are open there."""
    from skyrig.seat import left, place

    if stack == place.STACK:
        left.refuse(stack, force=force)
    ward = owning.ward_on(stack)
    if ward is None:
        return provision.down(stack, notify, confirm, force=force, flush_s=flush_s)
    return owning.down(ward, stack, notify, confirm, force=force, flush_s=flush_s)


def stop(
    stack: str,
    notify: Notify,
    confirm: Confirm = lambda question: True,
    *,
    force: bool = False,
    flush_s: float | None = None,
) -> Changes:
    """Stop the nodes of `stack`, as `skyrig.provision.stop` does. BadInput where it belongs to a managed job."""
    owning.refuse(stack, "stop")
    return provision.stop(stack, notify, confirm, force=force, flush_s=flush_s)


def start(
    stack: str, notify: Notify, wanted: Autostop | None = None, confirm: Confirm = nobody, *, retry: bool = False
) -> ClusterDescription:
    """Start the nodes of `stack`, as `skyrig.provision.start` does. BadInput where it belongs to a managed job."""
    owning.refuse(stack, "start")
    return provision.start(stack, notify, wanted, confirm, retry=retry)


def autostop(stack: str, wanted: Autostop | None, notify: Notify) -> None:
    """Have the cluster of `stack` stop or end itself when it is idle, as `skyrig.provision.autostop` does. BadInput
    where it belongs to a managed job."""
    owning.refuse(stack, "autostop")
    provision.autostop(stack, wanted, notify)


def queue(stack: str, notify: Notify) -> list[JobRecord]:
    """Jobs of a cluster, oldest first; from the stack's records where its head is gone."""
    from skyrig.launch import records

    cluster = _awake(stack, notify)
    while cluster is not None:
        try:
            return asyncio.run(schedulers.client(cluster).queue(cluster))
        except NodeLost as error:
            now = described.known(stack)
            if now is None or now.nodes == cluster.nodes:
                notify(f"{error.message}: showing what was recorded")
                break
            cluster = now  # the head was replaced meanwhile, and what its jobs do no record tells yet
    return records.queue(places.records(stack))


def logs(
    stack: str,
    job_id: int | None,
    out: BinaryIO,
    notify: Notify,
    *,
    rank: int | None = None,
    follow: bool = True,
    tail: int | None = None,
) -> int:
    """Write a job's output (of the newest one without `job_id`) to `out`; its exit code, 0 while it goes on."""
    from skyrig.launch import records

    cluster = _awake(stack, notify)
    if cluster is not None:
        try:
            return asyncio.run(
                schedulers.client(cluster).logs(
                    cluster, job_id, rank=rank, follow=follow, tail=tail, out=out, notify=notify
                )
            )
        except NodeLost as error:
            notify(f"{error.message}: showing what was recorded")
    return records.logs(places.records(stack), job_id, rank=rank, tail=tail, out=out)


def saved_logs(stack: str, job_id: int | None, folder: Path, notify: Notify) -> list[Path]:
    """Write the output of each rank of a job (the newest one without `job_id`) into files of its own under `folder`."""
    jobs = [job for job in queue(stack, notify) if job_id in (None, job.id)]
    if not jobs:
        raise BadInput(f"cluster {stack} has no job {'at all' if job_id is None else job_id}")
    job = jobs[-1]
    target = folder / f"job-{job.id}"
    target.mkdir(parents=True, exist_ok=True)
    files = [target / f"rank-{rank}.log" for rank in range(job.num_nodes)]
    for rank, file in enumerate(files):
        with file.open("wb") as out:
            logs(stack, job.id, out, notify, rank=rank, follow=False)
    return files


def cancel(stack: str, job_ids: list[int] | None, notify: Notify = lambda line: None) -> list[int]:
    """Cancel the jobs, or all that have not ended where `job_ids` is None; the ids that were cancelled."""
    cluster = _live(stack, notify)
    if cluster is None:
        raise ClusterNotUp(f"cluster {stack} is not up: nothing runs there")
    if cluster.head.id in status.stopped(cluster):
        raise is_stopped(cluster)
    return asyncio.run(schedulers.client(cluster).cancel(cluster, job_ids))


def clusters(names: Sequence[str] | None = None, notify: Notify = lambda line: None) -> list[ClusterStatus]:
    """Status of the clusters called `names`, or of all. That one switched itself off is written into its config, and
    what a controller that lost its table cared for is cared for again."""
    _settle(notify)
    known = stacks.known()
    for name in names or ():
        if name not in known:
            raise no_such_cluster(name)
    asked = known if names is None else list(names)
    for each in asked:
        adoption.adopt(each, notify)
    owners = owning.wards()
    return [evolve(_with_attempts(each), owner=owners.get(each.name, "")) for each in status.of(asked)]


def _settle(notify: Notify) -> None:
    """Have the controller know the managed jobs that own clusters here. That its table is away is no failure of
    whoever looks at clusters."""
    from skyrig.control.jobs import rebuilding

    try:
        rebuilding.settle(notify)
    except SkyrigError as error:
        notify(str(error))


def _with_attempts(found: ClusterStatus) -> ClusterStatus:
    """The status of a cluster that is not there yet, with what its attempts have come to: a part of it may be there."""
    said = "" if found.nodes else journal.said(found.name)
    return evolve(found, status="INIT", reason=said) if said else found


def endpoints(stack: str, port: int | None = None, notify: Notify = lambda line: None) -> dict[int, str]:
    """HOST:PORT, as reached from here, of each open port of a cluster, or of `port` alone. BadInput where the cluster
    is not up, its head is stopped, or that port, or any, is not open."""
    adoption.adopt(stack, notify)
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack) if stacks.exists(stack) else no_such_cluster(stack)
    if cluster.head.id in status.stopped(cluster):
        raise is_stopped(cluster)
    there = ", ".join(cluster.ports)
    how = f"`launch FILE -c {stack} --ports {port or 'PORT'}` opens one"
    if port is None and not there:
        raise BadInput(f"cluster {stack} has no open port", hint=how)
    if port is not None and port not in numbers(cluster.ports):
        raise BadInput(f"port {port} of cluster {stack} is not open", hint=f"open: {there}" if there else how)
    found = {each: where for each, where in endpoints_of.of(cluster).items() if port in (None, each)}
    if not found:
        raise SkyrigError(f"open ports of {stack} cannot be reached", hint=f"`up -c {stack}` repairs its network")
    return found


def render_training(stack: str, run: TrainingRun, options: RunOptions) -> list[RenderedRank]:
    """What `train` would put on every node."""
    shape = config.read_shape(stack)
    nodes = options.nodes or len(shape.nodes)
    return rendering.of(training_request(run, nodes, shape.accelerators, options), stack)


def render_task(stack: str, task: Task, options: RunOptions) -> list[RenderedRank]:
    """What `launch` would put on every node, also where no cloud is usable that has what the task asks for."""
    task = imaging.resolved(task)
    shape = rendered_shape(config.read_shape(stack), task)
    mounts = mounts_of(task)
    refuse_outside_home(mounts, described.describe(stack), shape)
    request = task_request(task, options, setup=options.setup)
    ranks = rendering.of(request, stack, shape, mounts.sources, buckets_of(task))
    cluster = described.describe(stack) or rendering.planned(stack, shape)
    if not batching.goes_there(task, described.describe(stack)):
        return ranks
    more = batching.rendered(task, request, cluster)
    return [evolve(rank, files={**rank.files, **more}) for rank in ranks]


def _awake(stack: str, notify: Notify) -> ClusterDescription | None:
    """The cluster whose keeper can be asked; None where the stack's records must answer, which is said of a stop."""
    cluster = _live(stack, notify)
    if cluster is not None and cluster.head.id in status.stopped(cluster):
        notify(f"cluster {stack} is stopped: showing what was recorded")
        return None
    return cluster


def _live(stack: str, notify: Notify) -> ClusterDescription | None:
    """The cluster of a stack; None where it is gone and has left a trace, BadInput where there never was one."""
    adoption.adopt(stack, notify)
    cluster = described.describe(stack)
    if cluster is None and not places.records(stack).exists() and not stacks.exists(stack):
        raise no_such_cluster(stack)
    return cluster


def _current(cluster: ClusterDescription) -> Callable[[], ClusterDescription | None]:
    """Tells what the cluster is now, should somebody change it while it is waited for."""
    return partial(described.known, cluster.name)


def _bring_models(cluster: ClusterDescription, notify: Notify) -> None:
    """Bring home what a training run has made. That it cannot be had now is no failure of the run: `serve` asks
    again."""
    try:
        models.bring(described.known(cluster.name) or cluster, notify)
    except SkyrigError as error:
        notify(str(error))


def _submitted(
    cluster: ClusterDescription, what: Submission, options: RunOptions, out: BinaryIO, notify: Notify
) -> int:
    return asyncio.run(
        schedulers.client(cluster).submit_and_follow(
            cluster, what, _current(cluster), detach=options.detach, out=out, notify=notify
        )
    )
