"""What a task may ask of a Kubernetes cluster's own queue, and where that queue is."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import attrs
import yaml
from attrs import evolve

from skyrig.cluster import owner
from skyrig.cluster.description import Accelerators, ClusterDescription
from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput, NotYet, ResourcesMismatch
from skyrig.launch.job import JobRequest
from skyrig.launch.submission import BatchOptions, Submission
from skyrig.schedulers.kubernetes import devices
from skyrig.schedulers.kubernetes.api import Where, opened
from skyrig.schedulers.kubernetes.asked import Asked, claims_of, queue_of
from skyrig.task.model import Task
from skyrig.task.quantities import least_cores
from skyrig.task.resources import Resources

CLOUD = "kubernetes"
SAID = "Kubernetes"

PORTS = "ports of a job of Kubernetes are reached inside the cluster, by the names of its nodes"
"""What is said to a task that wants some open."""


def where(desc: ClusterDescription) -> Where:
    """Where the jobs of a stack are: its context and its namespace."""
    return Where(desc.region, desc.zone)


def placed(shape: Shape, asked: Resources) -> Shape:
    """The shape of a stack for a queue: the context that is named, else the one that the kubeconfig names now, so that
    another one there later changes nothing."""
    context = asked.infra.region or asyncio.run(_current())
    bare = evolve(shape, cloud=CLOUD, scheduler=CLOUD, accelerators=Accelerators(), cpus=0, isolation="auto", task="")
    machine = Machine(region=context)
    return resized(evolve(bare, machine=machine, ports=(), balancer="", buckets=(), owner=owner.here()), 1)


def options(task: Task, asked: Resources, cluster: ClusterDescription) -> BatchOptions:
    """What a task asks for. BadInput for what cannot be had."""
    said = {**(task.config.mended.get("kubernetes") or {}), **(asked.config.get("kubernetes") or {})}
    queue, priority = queue_of(said)
    about = said.get("custom_metadata") or {}
    comes_back, memory = asked.job_recovery, re.match(r"[0-9.]+", asked.memory or "")
    wanted = Asked(
        image=_image(asked),
        cpus=least_cores(asked.cpus),
        memory_gb=float(memory[0]) if memory else 0.0,
        accelerator=asked.accelerator.name if asked.accelerator else "",
        count=asked.accelerator_count,
        queue=queue,
        priority=asked.priority_class or priority,
        max_restarts=(comes_back.max_restarts_on_errors or 0) if comes_back is not None else 0,
        labels={**{str(k): str(v) for k, v in (about.get("labels") or {}).items()}, **(asked.labels or {})},
        annotations={str(k): str(v) for k, v in (about.get("annotations") or {}).items()},
        best=asked.network_tier == "best",
        claims=claims_of(task.volumes),
        pod=said.get("pod_config") or {},
    )
    return BatchOptions(accelerator=wanted.accelerator, said=attrs.asdict(wanted, recurse=False))


def refuse_misfit(task: Task, asked: Resources, cluster: ClusterDescription) -> None:
    """ResourcesMismatch where a cluster's nodes, as they were when its stack was last changed, have no such
    accelerators; a cluster that grows by itself may have none of its nodes there, and is believed."""
    there = {each.accelerators.name: each.accelerators.count for each in cluster.partitions if each.accelerators.count}
    if asked.accelerator is None or not there:
        return
    fits = [name for name, most in there.items()
            if most >= asked.accelerator_count and devices.same(asked.accelerator.name, name)]  # fmt: skip
    if not fits:
        has = ", ".join(f"{name}:{count}" for name, count in there.items())
        raise ResourcesMismatch(
            f"{asked.accelerator} is asked for, the nodes of {cluster.region} have {has}",
            hint=f"`up -c {cluster.name}` looks at them again",
        )


def refuse(what: Submission) -> None:
    """NotYet or BadInput for what a job cannot have in this queue."""
    request = what.request
    if what.autostop is not None:
        raise no_autostop(request.name)
    if request.buckets:
        raise no_buckets()
    if request.on:
        raise BadInput("Kubernetes places its pods by itself", hint="nodeSelector in config.kubernetes.pod_config.spec")
    if request.min_nodes:
        raise NotYet("a job of this queue needs all of its nodes", hint="leave min_nodes away: it begins anew")


def no_autostop(name: str) -> BadInput:
    """The error for an autostop of machines that are not ours."""
    return BadInput(
        f"{name} is a queue of Kubernetes: there is nothing to stop, its nodes are free again when a job ends",
        hint="leave the autostop away",
    )


def no_buckets() -> NotYet:
    """The error for buckets: in a plain pod nobody brings what is written there."""
    return NotYet(
        "buckets are not attached to jobs of a Kubernetes queue",
        hint="let the task copy from them and to them by itself, or name a volume",
    )


def rendered(task: Task, asked: Resources, request: JobRequest, cluster: ClusterDescription) -> dict[str, str]:
    """What Kubernetes gets for a task, by file names: the objects, secrets masked. Which nodes have the accelerators is
    found out when the job is submitted."""
    from skyrig.schedulers.kubernetes import submitting

    what = Submission(request, batch=options(task, asked, cluster))
    made = submitting.of_job(cluster, what, Asked(**what.batch.said), [], b"", 1, {}, jobset=True, now=0.0)
    return {"manifests.yaml": yaml.safe_dump_all(made.shown, sort_keys=False, allow_unicode=True)}


async def _current() -> str:
    async with opened(Where()) as api:
        return api.context


def _image(asked: Resources) -> str:
    """The container image that a task names; "" where it names none."""
    if asked.image is None:
        return ""
    named: Any = asked.image.container or next(iter(asked.image.by_region.values()), "")
    return str(named).removeprefix("docker:")
