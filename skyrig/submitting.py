"""From a task, or a training script, to what is submitted: the cluster that it runs on, its job, and the files that
come with it. All that can be wrong is found before anything is made."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, field, frozen

from skyrig import batching, checkout, imaging, local, models, preflighting
from skyrig.bringing import Asked, Confirm, Manner, Notify, up, with_policy
from skyrig.cluster.autostop import WAITS, Autostop
from skyrig.cluster.description import Accelerators, ClusterDescription
from skyrig.cluster.policy import NO_WISH, Wish
from skyrig.cluster.ports import missing
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput
from skyrig.fitting import (
    accelerators_of,
    balancer_of,
    local_candidate,
    misfit,
    note_served,
    ports_of,
    refuse_misfit,
    shape_for,
)
from skyrig.launch import mends, misplaced, outward
from skyrig.launch import mounts as task_mounts
from skyrig.launch.job import JobRequest
from skyrig.launch.mounts import Mounts
from skyrig.launch.program import UserText
from skyrig.launch.render import render_launch, render_setup
from skyrig.launch.submission import Submission
from skyrig.provision import autostop, ensure, is_stopped, new_name, not_up
from skyrig.stack import config, described, status
from skyrig.storage import wanted as wanted_buckets
from skyrig.storage.wanted import WantedBucket
from skyrig.task.autostop import Autostop as AskedAutostop
from skyrig.task.infra import Infra
from skyrig.task.model import GitSource, Task
from skyrig.task.resources import Resources
from skyrig.task.service import Pool
from skyrig.training import TrainingRun


@frozen
class RunOptions:
    """What a caller may say about one run. `name`, `nodes`, `env`, `secrets`, `accelerators` and `ports` (ranges) are
    for training scripts: a task says them itself. `wish` is what the cluster may cost and how long it lives;
    `retry_until_up` has rounds of attempts go on until there is capacity; offers in the region `avoid` are tried
    last. None and empty values leave it to the
    cluster."""

    name: str = ""
    nodes: int | None = None
    workdir: Path | None = None
    env: Mapping[str, str] = field(factory=dict)
    secrets: Mapping[str, str] = field(factory=dict, repr=False)
    accelerators: Accelerators | None = None
    ports: tuple[str, ...] = ()
    detach: bool = False
    setup: bool = True
    force_setup: bool = False
    autostop: Autostop | None = None
    retry_until_up: bool = False
    wish: Wish = NO_WISH
    avoid: str = ""


def training_request(run: TrainingRun, nodes: int, there: Accelerators, options: RunOptions) -> JobRequest:
    """The job of a training run on nodes that have the accelerators `there`: a script takes all of them. It
    learns where its model shall go."""
    return JobRequest(
        name=options.name or Path(run.script.path).stem,
        num_nodes=nodes,
        run=render_launch(run.script, run.strategy),
        env={**models.environment(options.name or run.model), **options.env},
        secrets=dict(options.secrets),
        accelerators=(options.accelerators or there).count,
        force_setup=options.force_setup,
        user=getpass.getuser(),
    )


def task_request(task: Task, options: RunOptions, *, setup: bool) -> JobRequest:
    """The job of a task, with its setup or without."""
    return JobRequest(
        name=task.name or "sky-cmd",
        num_nodes=task.num_nodes,
        run=render_launch(UserText(task.run or ""), "plain", task.num_nodes),
        setup=render_setup(task.setup) if setup and task.setup else None,
        env=dict(task.env),
        secrets=dict(task.secrets),
        accelerators=accelerators_of(task.resources).count,
        flush_s=task.config.flush_s,
        samples=task.config.samples,
        force_setup=options.force_setup,
        user=getpass.getuser(),
    )


def workdir_of(task: Task, notify: Notify) -> Path | None:
    """The folder that is synced; a git repository is fetched first."""
    if not isinstance(task.workdir, GitSource):
        return task.folder
    notify(f"workdir: fetching {task.workdir.url}")
    return checkout.folder(task.workdir)


def autostop_of(task: Task) -> Autostop | None:
    """What the task's resources say of stopping; None where that is nothing, or that the cluster shall stay."""
    asked = task.resources.autostop
    if asked is None or not asked.enabled or asked.idle_minutes < 0:
        return None
    return Autostop(asked.idle_minutes, asked.down, asked.wait_for or WAITS[0])


def stopping(task: Task, wanted: Autostop | None) -> Task:
    """`task` with an autostop that was asked for beside it: nodes that can neither stop nor end themselves are no offer
    for it then, as where its resources say so."""
    if wanted is None:
        return task
    asked = AskedAutostop(True, wanted.idle_minutes, wanted.down, wanted.wait_for)
    each = tuple(evolve(one, autostop=asked) for one in task.choice.each)
    return evolve(task, choice=evolve(task.choice, each=each))


def mounts_of(task: Task) -> Mounts:
    """The task's file_mounts. BadInput for places that cannot be."""
    return task_mounts.of(task.mounts, has_workdir=task.workdir is not None)


def buckets_of(task: Task) -> tuple[WantedBucket, ...]:
    """The buckets that the task wants. BadInput for those that cannot be."""
    return wanted_buckets.of(task.mounts, task.name or "", getpass.getuser())


def note_unheeded(asked: Resources | None, notify: Notify) -> None:
    """Say which of a task's wishes mean nothing on the local cloud, where it runs there."""
    if asked is not None and asked.unheeded_locally:
        notify(f"on the local cloud these say nothing: {', '.join(asked.unheeded_locally)}")


def _note_run(task: Task, workdir: Path | None, mounts: Mapping[str, Path | None], notify: Notify) -> None:
    """Say what is added to the task's `run` text, each time, and what in it will not do what it seems to: the job's log
    stays the task's own."""
    if task.service is not None:
        is_pool = isinstance(task.service, Pool)
        more = "" if is_pool else "; `serve.up` serves it"
        notify(
            f"the section `{'pool' if is_pool else 'service'}` says nothing here: the task runs as a job, once{more}"
        )
    for mend in mends.of_run(task.run or "", task.num_nodes):
        notify(mend.note)
    for line in misplaced.notes(task.run or "", workdir, mounts):
        notify(line)


def _rehearsed(task: Task, cluster: ClusterDescription, notify: Notify) -> Task:
    """`task` as nodes of the local cloud run it: there every task is rehearsed, whichever cloud it asks for."""
    asked = {each.infra.cloud: str(each.infra) for each in task.choice.each}
    if cluster.cloud != "local" or None in asked or "local" in asked:
        return task
    notify(f"{cluster.name} is on the local cloud: what asks for {' or '.join(asked.values())} is rehearsed there")
    each = tuple(evolve(one, infra=Infra("local")) for one in task.choice.each)
    return evolve(task, choice=evolve(task.choice, each=each))


@frozen
class _Checked:
    """What a task brings along, once all is found that can be wrong with it."""

    request: JobRequest
    mounts: Mounts
    wanted: tuple[WantedBucket, ...]
    workdir: Path | None


@frozen
class ServiceNodes:
    """The nodes of a service at its beginning: at least `count`, of which `ondemand` are not spot where they are made
    for it; of all ports those of the endpoint are open, `ports`."""

    count: int
    ondemand: int = 0
    ports: tuple[str, ...] = ()


def for_launch(
    task: Task, stack: str | None, options: RunOptions, notify: Notify, confirm: Confirm
) -> tuple[ClusterDescription, Submission | None]:
    """The cluster for a launch, a new one or that of `stack`, brought up, grown or changed as the task needs; and the
    job, None where there is nothing to run. All that can be wrong is found before anything is made."""
    task = stopping(imaging.resolved(task), options.autostop)
    stop = autostop_of(task)
    brought = _checked(task, task, stack, options, notify)
    cluster = _brought_up(task, stack, ports_of(task), options, notify, confirm)
    if not task.run and brought.request.setup is None and not brought.mounts.sources and not brought.wanted:
        if stop is not None:
            autostop(cluster.name, stop, notify)
        return cluster, None
    _note_run(task, brought.workdir, brought.mounts.sources, notify)
    return cluster, _submission(task, cluster, brought, stop, notify, confirm)


def for_service(
    task: Task, stack: str, wanted: ServiceNodes, options: RunOptions, notify: Notify, confirm: Confirm
) -> tuple[ClusterDescription, Submission]:
    """The cluster for a service whose replicas are copies of `task`, as it is `wanted`, and what every replica's job is
    made of. As for a launch, nothing is made before all is found that can be wrong. Where the cluster is all of that
    already, it costs no engine call."""
    task = imaging.resolved(task)
    machines = _machines(task, wanted.count)
    batching.refuse_service(task, described.describe(stack))
    brought = _checked(task, machines, stack, options, notify)
    cluster = _brought_up(machines, stack, wanted.ports, options, notify, confirm, wanted.ondemand)
    return cluster, _submission(task, cluster, brought, None, notify, confirm)


def for_new_cluster(task: Task, options: RunOptions, notify: Notify) -> Shape:
    """What a launch of a task on a cluster of its own would ask for: nothing is made. BadInput for all that can be
    wrong with the task; NoCapacity where nobody has that."""
    task = imaging.resolved(task)
    brought = _checked(task, task, None, options, notify)
    note_unheeded(local_candidate(task), notify)
    _note_run(task, brought.workdir, brought.mounts.sources, notify)
    return with_policy(shape_for(Shape(), task, ports=ports_of(task)), options.wish, new=True)


def _machines(task: Task, nodes: int) -> Task:
    """What `nodes` nodes for replicas of a task shall be. What replicas serve on stays inside the cluster."""
    each = tuple(evolve(one, ports=None) for one in task.choice.each)
    return evolve(task, num_nodes=nodes, run=None, choice=evolve(task.choice, each=each))


def _checked(task: Task, machines: Task, stack: str | None, options: RunOptions, notify: Notify) -> _Checked:
    """What `task` brings to a cluster for `machines`. BadInput for all that can be wrong with it there."""
    request = task_request(task, options, setup=options.setup)
    mounts, wanted = mounts_of(task), buckets_of(task)
    mounts.require_sources()
    workdir = workdir_of(task, notify)
    cluster = described.describe(stack) if stack is not None else None
    if batching.goes_there(machines, cluster):
        stops = bool(options.autostop or autostop_of(task))
        batching.refuse_unheard(task, stack or "it", cluster, buckets=bool(wanted), stops=stops, notify=notify)
        if cluster is not None:
            batching.refuse_misfit(task, cluster)
    elif cluster is not None:
        batching.refuse_unscheduled(task, cluster)
    before = config.read_shape(stack) if stack is not None else Shape()
    shape = shape_for(before, machines) if cluster is None else before
    refuse_outside_home(mounts, cluster, shape)
    if options.setup:
        outward.refuse(task.setup, cluster.egress if cluster is not None else shape.machine.egress, stack or "")
    for line in mounts.warnings:
        notify(line)
    return _Checked(request, mounts, wanted, workdir)


def _brought_up(
    task: Task,
    stack: str | None,
    ports: tuple[str, ...],
    options: RunOptions,
    notify: Notify,
    confirm: Confirm,
    ondemand: int = 0,
) -> ClusterDescription:
    """The cluster of `stack`, or a new one, with what `task` asks for and `ports` open."""
    cluster = described.describe(stack) if stack is not None else None
    manner = Manner(confirm, retry=options.retry_until_up)
    asked = Asked(task, ports=ports, wish=options.wish, ondemand=ondemand, avoid=options.avoid)
    if cluster is not None and cluster.is_queue:
        return cluster
    if stack is None or cluster is None:
        note_unheeded(local_candidate(task), notify)
        return up(stack or new_name(task), notify, asked, manner)
    if (reason := misfit(cluster, task)) is not None:
        shape_for(config.read_shape(stack), task)
        notify(reason)
        return up(stack, notify, asked, manner)
    if balancer_of(task) and not cluster.entrance:
        return up(stack, notify, asked, manner)
    if lacks := imaging.lacking(task, config.read_shape(cluster.name), cluster.name):
        notify(lacks)
    note_served(task, notify)
    return ensure(stack, task.num_nodes, notify, ports, confirm, options.wish, retry=options.retry_until_up)


def _submission(
    task: Task, cluster: ClusterDescription, brought: _Checked, stop: Autostop | None, notify: Notify, confirm: Confirm
) -> Submission:
    """The job on its cluster, with its buckets found or made."""
    ttl = config.read_shape(cluster.name).policy.ttl
    mounts = brought.mounts
    if cluster.scheduler:
        batch = batching.options(task, cluster)
        preflighting.refuse_wished(task.config.preflight, cluster)
        return Submission(brought.request, brought.workdir, mounts.sources, batch=batch)
    looked_at = preflighting.of_job(brought.request, task.config.preflight, cluster)
    if not brought.wanted:
        return Submission(looked_at, brought.workdir, mounts.sources, stop, ttl)
    from skyrig.attaching import attach

    variables = {**task.env, **task.secrets}
    attached = attach(cluster, brought.wanted, variables, notify, confirm, task.config.data_stack)
    sources = {**mounts.sources, **attached.sources}
    return Submission(attached.given_to(looked_at), brought.workdir, sources, stop, ttl)


def for_exec(task: Task, stack: str, options: RunOptions, notify: Notify) -> tuple[ClusterDescription, Submission]:
    """The cluster for an exec, which is up and has what the task asks for, and the job."""
    if not task.run:
        raise BadInput("the task has nothing to run", hint="give it a `run` text")
    request = task_request(task, options, setup=False)
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    if status.stopped(cluster):
        raise is_stopped(cluster)
    if cluster.scheduler:
        batching.refuse_misfit(task, cluster)
        preflighting.refuse_wished(task.config.preflight, cluster)
        return cluster, Submission(request, workdir_of(task, notify), batch=batching.options(task, cluster))
    batching.refuse_unscheduled(task, cluster)
    if task.num_nodes > len(cluster.nodes):
        there = f"cluster {stack} has {len(cluster.nodes)} nodes"
        raise BadInput(f"{there}, {task.num_nodes} are wanted", hint="use `launch`, which grows it")
    task = _rehearsed(task, cluster, notify)
    refuse_misfit(cluster, task)
    if closed := missing(ports_of(task), cluster.ports):
        notify(f"not open on {stack}: {', '.join(closed)}; `launch` opens ports")
    if task.mounts.copies or task.mounts.buckets:
        notify("exec brings no file_mounts; launch does")
    workdir = workdir_of(task, notify)
    _note_run(task, workdir, mounts_of(task).sources, notify)
    return cluster, Submission(preflighting.of_job(request, task.config.preflight, cluster), workdir)


def refuse_outside_home(mounts: Mounts, cluster: ClusterDescription | None, shape: Shape) -> None:
    """BadInput for mounts outside the home of local nodes that share the host's file system: those of `cluster`, else
    those that `shape` would make."""
    if all(target.startswith("~") for target in (*mounts.sources, *mounts.buckets)):
        return
    level = cluster.isolation if cluster is not None else local.isolation(shape) if shape.cloud == "local" else ""
    if level == "plain":
        mounts.refuse_outside_home()
