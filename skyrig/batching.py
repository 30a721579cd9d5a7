"""Tasks on clusters that have a scheduler of their own: which task goes there, and what it asks of the scheduler.

What each scheduler can be asked lies beside its client, in skyrig.schedulers.NAME.tasks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from attrs import evolve

from skyrig.cluster.clouds import registered
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, NotYet, ResourcesMismatch
from skyrig.launch.job import JobRequest
from skyrig.launch.submission import BatchOptions
from skyrig.task.infra import Infra
from skyrig.task.model import Task
from skyrig.task.resources import Resources


def candidate(task: Task | None) -> Resources | None:
    """What a task asks of a cluster that schedules by itself, where that is what it asks for first; else None. BadInput
    where it names a scheduler and a place that has not that one."""
    if task is None:
        return None
    first, named = task.choice.each[0], task.config.scheduler
    if not named:
        return first if first.infra.cloud is not None and registered(first.infra.cloud).is_queue else None
    if first.infra.cloud not in (None, named):
        raise BadInput(
            f"config.skyrig.scheduler is {named}, and the task asks for {first.infra}", hint=f"infra: {named}/..."
        )
    return first if first.infra.cloud is not None else evolve(first, infra=Infra(named))


def shape_of(shape: Shape, asked: Resources) -> Shape:
    """The shape of a stack for a cluster that schedules by itself: one way in, whatever the jobs take. BadInput where
    what is `asked` names none."""
    placed: Shape = _room(asked.infra.cloud).placed(shape, asked)
    return placed


def goes_there(task: Task | None, cluster: ClusterDescription | None) -> bool:
    """Whether a scheduler of its own would run this task: the one of `cluster`, else the one that it asks for."""
    return bool(cluster.scheduler) if cluster is not None else candidate(task) is not None


def options(task: Task, cluster: ClusterDescription) -> BatchOptions:
    """What a task asks of the scheduler of a cluster. BadInput for what cannot be asked."""
    asked: BatchOptions = _room(cluster.scheduler).options(task, candidate(task) or task.resources, cluster)
    return asked


def refuse_misfit(task: Task, cluster: ClusterDescription) -> None:
    """ResourcesMismatch where the scheduler could never run a task, or it is for another cluster."""
    there = [each.infra for each in task.choice.each]
    fits = [each.cloud in (None, cluster.cloud) and each.region in (None, cluster.region) for each in there]
    if cluster.is_queue and not any(fits):
        raise ResourcesMismatch(
            f"the task asks for {there[0]}, {cluster.name} is {cluster.cloud}/{cluster.region}",
            hint="launch it on a cluster of its own",
        )
    _room(cluster.scheduler).refuse_misfit(task, candidate(task) or task.resources, cluster)


def refuse_unscheduled(task: Task, cluster: ClusterDescription) -> None:
    """ResourcesMismatch for a task that names a scheduler which a cluster of nodes of ours has not."""
    if task.config.scheduler and task.config.scheduler != cluster.scheduler:
        raise ResourcesMismatch(
            f"the task is for the scheduler {task.config.scheduler}, {cluster.name} has nodes of its own",
            hint="launch it on a cluster of its own",
        )


def refuse_unheard(
    task: Task,
    name: str,
    cluster: ClusterDescription | None,
    *,
    buckets: bool,
    stops: bool,
    notify: Callable[[str], None],
) -> None:
    """BadInput for what a task wants beside its job and a scheduler, of `cluster` or the one that it asks for, does not
    give. Open ports are only told: what serves on them runs all the same."""
    asked = candidate(task)
    room = _room(cluster.scheduler if cluster is not None else asked.infra.cloud if asked is not None else None)
    if buckets:
        raise room.no_buckets()
    if stops:
        raise room.no_autostop(name)
    if any(each.ports for each in task.choice.each):
        notify(room.PORTS)


def rendered(task: Task, request: JobRequest, cluster: ClusterDescription) -> dict[str, str]:
    """What the scheduler of a cluster gets for a task, by file names. A cluster that is only planned may not say which
    one it has: then it is the task's."""
    asked = candidate(task) or task.resources
    found: dict[str, str] = _room(cluster.scheduler or asked.infra.cloud).rendered(task, asked, request, cluster)
    return found


def refuse_service(task: Task, cluster: ClusterDescription | None) -> None:
    """NotYet for a service: its replicas are jobs of a keeper."""
    if goes_there(task, cluster):
        asked = candidate(task)
        name = cluster.scheduler if cluster is not None else asked.infra.cloud if asked is not None else None
        raise NotYet(
            f"services need a cluster of Skyrig's own, not one with {_room(name).SAID}",
            hint="name another --infra or -c",
        )


def refuse_managed(task: Task) -> None:
    """NotYet for a managed job: a scheduler of its own begins a job anew when it lost a node."""
    asked = candidate(task)
    if asked is not None:
        said = _room(asked.infra.cloud).SAID
        raise NotYet(
            f"a {said} cluster needs no managed jobs: {said} itself begins a job anew when it loses a node",
            hint="`launch` it there",
        )


def _room(name: str | None) -> Any:
    """What can be asked of the scheduler of this name. It is imported only now: few tasks go there."""
    return importlib.import_module(f"skyrig.schedulers.{name}.tasks")
