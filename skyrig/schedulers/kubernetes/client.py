"""The client's side of a Kubernetes cluster that queues jobs itself: the same functions as skyrig.launch.client, over
its API.

Kubernetes owns the queue, the pods and what they say; a client may be gone at any time. What goes there when a job is
cancelled or its time is over is kept by whoever looks: records in the stack's ledger on the cluster, lines here.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

from attrs import evolve, frozen

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput, Unreachable
from skyrig.launch import keeping, records
from skyrig.launch.client import Notify, interruptible
from skyrig.launch.job import CANCELLED, JobRecord, JobStatus
from skyrig.launch.meeting import Current
from skyrig.launch.submission import Submission
from skyrig.launch.view import View
from skyrig.schedulers.kubernetes import ledger, look, names, statuses, submitting, tasks
from skyrig.schedulers.kubernetes.api import CORE, JOBS, JOBSETS, Api, opened
from skyrig.schedulers.kubernetes.follow import Line, Story, brought_up_to_date
from skyrig.schedulers.queue import QueueClient

_PATIENCE_S = 30.0
"""How long a follower tries to reach an API server that went away."""


@frozen
class KubernetesClient(QueueClient):
    """What can be asked of the jobs of a Kubernetes cluster's queue."""

    async def submit(self, desc: ClusterDescription, what: Submission, current: Current, notify: Notify) -> JobRecord:
        """Submit a job with its files; of two with one key only the first is taken."""
        tasks.refuse(what)
        key = what.request.key or secrets.token_hex(12)
        least = max((record.id for record in records.queue(keeping.folder(desc))), default=0) + 1
        async with opened(tasks.where(desc)) as api:
            made = await submitting.submit(
                api, desc, evolve(what, request=evolve(what.request, key=key)), least, notify
            )
            if made is None:
                return (await ledger.records(api, desc.name))[(await ledger.number(api, desc.name, key))[0]]
            record = statuses.record(made, [])
        keeping.add(desc, record)
        notify(f"job {record.id} ({record.name}) submitted to Kubernetes as {made['metadata']['name']}")
        return record

    async def queue(self, desc: ClusterDescription) -> list[JobRecord]:
        """All jobs of this cluster's stack: those that are there, and the records of those that are not any more."""
        known = {record.id: record for record in records.read(keeping.folder(desc))}
        async with opened(tasks.where(desc)) as api:
            there, ended = await _jobs(api, desc), await ledger.records(api, desc.name)
            fresh = [record for record in there.values() if record.status.ended and record.id not in ended]
            await ledger.keep(api, desc.name, fresh)
        found = {**{number: _gone(record) for number, record in known.items()}, **there, **ended}
        for record in found.values():
            if known.get(record.id) != record:
                keeping.add(desc, record)
        return [record for _, record in sorted(found.items())]

    async def cancel(self, desc: ClusterDescription, job_ids: list[int] | None, reason: str = "cancelled") -> list[int]:
        """End jobs (None: all); those that had not ended. BadInput for an unknown id."""
        known = {record.id: record for record in await self.queue(desc)}
        for job_id in job_ids or ():
            if job_id not in known:
                raise BadInput(f"there is no job {job_id} on {desc.name}", hint="`queue` lists them")
        wanted = [record for number, record in known.items()
                  if not record.status.ended and (job_ids is None or number in job_ids)]  # fmt: skip
        ended = [_cancelled(record, reason) for record in wanted]
        async with opened(tasks.where(desc)) as api:
            for record in wanted:
                await brought_up_to_date(api, desc, record.id)
            await ledger.keep(api, desc.name, ended)
            for record in ended:
                keeping.add(desc, record)
                await look.deleted(api, {names.STACK: names.slug(desc.name), names.JOB: str(record.id)})
        return [record.id for record in ended]

    async def settle(self, desc: ClusterDescription) -> None:
        """Bring all records and lines home: what they are on goes with the stack."""
        async with opened(tasks.where(desc)) as api:
            for number in await _jobs(api, desc):
                await brought_up_to_date(api, desc, number)
        await self.queue(desc)

    async def show(self, desc: ClusterDescription, view: View) -> None:
        """Follow the view's job through breaks of the connection."""
        await _followed(desc, view)

    def kept_for(self, desc: ClusterDescription) -> ClusterDescription | None:
        """Lines are kept as they come from the pods (skyrig.schedulers.kubernetes.follow)."""
        return None

    def no_autostop(self, name: str) -> BadInput:
        """Its machines are not ours to stop."""
        return tasks.no_autostop(name)

    def no_ttl(self, name: str) -> BadInput:
        """Likewise."""
        return BadInput(
            f"{name} is a queue of Kubernetes: it has no time to live",
            hint="a job has: activeDeadlineSeconds in config.kubernetes.pod_config.spec",
        )


CLIENT = KubernetesClient()


async def _jobs(api: Api, desc: ClusterDescription) -> dict[int, JobRecord]:
    """The jobs that are there, by number."""
    wanted = names.selector({names.STACK: names.slug(desc.name)})
    workloads = [*await api.items(api.path(JOBSETS, "jobsets"), labelSelector=wanted)]
    jobs = await api.items(api.path(JOBS, "jobs"), labelSelector=wanted)
    workloads += [job for job in jobs if not job["metadata"].get("ownerReferences")]
    pods: dict[str, list[dict[str, Any]]] = {}
    for pod in await api.items(api.path(CORE, "pods"), labelSelector=wanted):
        pods.setdefault(pod["metadata"]["labels"][names.JOB], []).append(pod)
    found = [statuses.record(each, pods.get(each["metadata"]["labels"][names.JOB], ()))
             for each in workloads if names.JOB in each["metadata"]["labels"]]  # fmt: skip
    return {record.id: record for record in found}


def _cancelled(record: JobRecord, reason: str) -> JobRecord:
    return evolve(
        record,
        status=JobStatus.CANCELLED,
        exit_code=CANCELLED,
        exit_codes=(-1,) * record.num_nodes,
        reason=reason,
        ended_at=time.time(),
    )


def _gone(record: JobRecord) -> JobRecord:
    """A job as this machine knew it last, which the cluster does not know any more."""
    if record.status.ended:
        return record
    reason = "it is gone from the cluster, and nobody saw its end: somebody deleted it, or its time there was over"
    return evolve(record, status=JobStatus.FAILED, exit_code=5, reason=reason, ended_at=time.time())


async def _followed(desc: ClusterDescription, view: View) -> None:
    clock, story = asyncio.get_running_loop().time, Story()
    reached_at, lost = clock(), True
    while lost and not view.detached:
        line: Line | None = None
        try:
            async with opened(tasks.where(desc)) as api:
                line = Line(api, desc, story)
                try:
                    lost = await interruptible(view.follow(line), view)
                finally:
                    await line.close()
                reached_at = clock()
        except Unreachable:
            if line is not None and line.moved:
                reached_at = clock()
            if clock() > reached_at + _PATIENCE_S:
                raise
            await asyncio.sleep(0.5)  # nothing tells when a server is there again
