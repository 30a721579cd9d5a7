"""What a task may ask of a Slurm cluster, and which one."""

from __future__ import annotations

import re

from attrs import evolve

from skyrig.cluster.description import Accelerators, ClusterDescription, Partition
from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput, NotYet, SkyrigError
from skyrig.launch.job import JobRequest
from skyrig.launch.submission import BatchOptions
from skyrig.schedulers.slurm import options as slurm
from skyrig.schedulers.slurm.refusals import no_autostop as no_autostop
from skyrig.task.model import Task
from skyrig.task.quantities import least_cores
from skyrig.task.resources import Resources

CLOUD = "slurm"
SAID = "Slurm"

PORTS = "ports are not opened on a Slurm cluster: inside it they can be reached"
"""What is said to a task that wants some open."""


def placed(shape: Shape, asked: Resources) -> Shape:
    """The shape of a stack for a Slurm cluster: one way in, whatever the jobs take. BadInput where it names none."""
    if not asked.infra.region:
        from skyrig.schedulers.slurm import site

        there = ", ".join(site.names()) or f"none in {site.config_file()}"
        raise BadInput("slurm: which cluster?", hint=f"slurm/NAME or slurm/NAME/PARTITION; there: {there}")
    machine = Machine(region=asked.infra.region, zone=asked.infra.zone or "")
    bare = evolve(shape, cloud=CLOUD, accelerators=Accelerators(), cpus=0, isolation="auto", task="", owner="")
    return resized(evolve(bare, machine=machine, ports=(), balancer="", buckets=()), 1)


def options(task: Task, asked: Resources, cluster: ClusterDescription) -> BatchOptions:
    """What a task asks of the Slurm of a cluster. BadInput for what cannot be asked."""
    said = {**(task.config.values.get(CLOUD) or {}), **(asked.config.get(CLOUD) or {})}
    more, account, for_cpus = slurm.of_config(said)
    partition = asked.infra.zone if asked.infra.cloud == CLOUD and asked.infra.zone else ""
    if cluster.cloud == CLOUD:
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


def refuse_misfit(task: Task, asked: Resources, cluster: ClusterDescription) -> None:
    """ResourcesMismatch where a cluster's partitions could never run a task."""
    wanted = options(task, asked, cluster)
    if not cluster.partitions:  # a cluster that Skyrig made: what Slurm has there is asked when the job is submitted
        return
    partition = slurm.partition_of(cluster.partitions, wanted.partition)
    slurm.refuse_misfit(partition, wanted, task.num_nodes, task.resources.accelerator_count)


def no_buckets() -> SkyrigError:
    """The error for buckets."""
    return NotYet(
        "buckets are not attached on Slurm clusters yet", hint="let the task copy from them and to them by itself"
    )


def rendered(task: Task, asked: Resources, request: JobRequest, cluster: ClusterDescription) -> dict[str, str]:
    """What Slurm gets for a task, by file names."""
    from skyrig.schedulers.slurm import files

    wanted = options(task, asked, cluster)
    known = cluster.partitions or (Partition(wanted.partition, request.num_nodes, is_default=True),)
    return {"batch.sh": files.script(request, wanted, slurm.partition_of(known, wanted.partition))}
