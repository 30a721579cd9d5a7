"""Tasks on clusters that have a scheduler of their own: which task goes there, and what it asks of the scheduler."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import evolve

from skyrig.cluster.description import Accelerators, ClusterDescription, Partition
from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput, NotYet, ResourcesMismatch
from skyrig.launch.job import JobRequest
from skyrig.launch.submission import BatchOptions
from skyrig.task.model import Task
from skyrig.task.quantities import least_cores
from skyrig.task.resources import Resources

SLURM = "slurm"


def candidate(task: Task | None) -> Resources | None:
    """What a task asks of a Slurm cluster, where that is what it asks for first; else None."""
    first = task.choice.each[0] if task is not None else None
    return first if first is not None and first.infra.cloud == SLURM else None


def shape_of(shape: Shape, asked: Resources) -> Shape:
    """The shape of a stack for a Slurm cluster: one way in, whatever the jobs take. BadInput where it names none."""
    if not asked.infra.region:
        from skyrig.schedulers.slurm import site

        there = ", ".join(site.names()) or f"none in {site.config_file()}"
        raise BadInput("slurm: which cluster?", hint=f"slurm/NAME or slurm/NAME/PARTITION; there: {there}")
    machine = Machine(region=asked.infra.region, zone=asked.infra.zone or "")
    bare = evolve(shape, cloud=SLURM, accelerators=Accelerators(), cpus=0, isolation="auto", task="", owner="")
    return resized(evolve(bare, machine=machine, ports=(), balancer="", buckets=()), 1)


def goes_there(task: Task | None, cluster: ClusterDescription | None) -> bool:
    """Whether a scheduler of its own would run this task: the one of `cluster`, else the one that it asks for."""
    return bool(cluster.scheduler) if cluster is not None else candidate(task) is not None


def options(task: Task, cluster: ClusterDescription) -> BatchOptions:
    """What a task asks of the scheduler of a cluster. BadInput for what cannot be asked."""
    from skyrig.schedulers.slurm import options as slurm

    asked = candidate(task) or task.resources
    said = {**(task.config.values.get(SLURM) or {}), **(asked.config.get(SLURM) or {})}
    more, account, for_cpus = slurm.of_config(said)
    partition = asked.infra.zone if asked.infra.cloud == SLURM and asked.infra.zone else ""
    if cluster.cloud == SLURM:
        partition = partition or cluster.zone
    if for_cpus and not asked.accelerator_count and asked.infra.zone is None:
        partition = for_cpus
    memory = re.match(r"[0-9.]+", asked.memory or "")
    return BatchOptions(
        partition=str(more.pop("partition", None) or partition),
        cpus=int(-(-least_cores(asked.cpus) // 1)),
        memory_gb=float(memory[0]) if memory else 0.0,
        accelerator=asked.accelerator.name if asked.accelerator else "",
        account=account,
        more=more,
    )


def refuse_misfit(task: Task, cluster: ClusterDescription) -> None:
    """ResourcesMismatch where the scheduler's partitions could never run a task, or it is for another cluster."""
    from skyrig.schedulers.slurm import options as slurm

    there = [each.infra for each in task.choice.each]
    fits = [each.cloud in (None, cluster.cloud) and each.region in (None, cluster.region) for each in there]
    if cluster.cloud == SLURM and not any(fits):
        raise ResourcesMismatch(
            f"the task asks for {there[0]}, {cluster.name} is {cluster.cloud}/{cluster.region}",
            hint="launch it on a cluster of its own",
        )
    asked = options(task, cluster)
    if not cluster.partitions:  # a cluster that Skyrig made: what Slurm has there is asked when the job is submitted
        return
    partition = slurm.partition_of(cluster.partitions, asked.partition)
    slurm.refuse_misfit(partition, asked, task.num_nodes, task.resources.accelerator_count)


def refuse_unheard(task: Task, name: str, *, buckets: bool, stops: bool, notify: Callable[[str], None]) -> None:
    """BadInput for what a task wants beside its job and a scheduler does not give. Open ports are only told: what
    serves on them runs all the same."""
    if buckets:
        raise NotYet(
            "buckets are not attached on Slurm clusters yet", hint="let the task copy from them and to them by itself"
        )
    if stops:
        from skyrig.schedulers.slurm.refusals import no_autostop

        raise no_autostop(name)
    if any(each.ports for each in task.choice.each):
        notify("ports are not opened on a Slurm cluster: inside it they can be reached")


def script(task: Task, request: JobRequest, cluster: ClusterDescription) -> str:
    """The text that the scheduler of a cluster gets for a task."""
    from skyrig.schedulers.slurm import files
    from skyrig.schedulers.slurm import options as slurm

    asked = options(task, cluster)
    known = cluster.partitions or (Partition(asked.partition, request.num_nodes, is_default=True),)
    return files.script(request, asked, slurm.partition_of(known, asked.partition))


def refuse_service(task: Task, cluster: ClusterDescription | None) -> None:
    """NotYet for a service: its replicas are jobs of a keeper."""
    if goes_there(task, cluster):
        raise NotYet("services need a cluster of Skyrig's own, not one with Slurm", hint="name another --infra or -c")


def refuse_managed(task: Task) -> None:
    """NotYet for a managed job: on a Slurm cluster Slurm itself begins a job anew when it lost a node."""
    if candidate(task) is not None:
        raise NotYet(
            "a Slurm cluster needs no managed jobs: Slurm itself begins a job anew when it loses a node",
            hint="`launch` it there",
        )
