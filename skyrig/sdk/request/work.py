"""What a request can be: by its name, the function that its worker calls and the type of what that gives.

The functions import what they need: `get` in the program that asks needs the types alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import cattrs
from attrs import frozen

from skyrig.launch.job import JobStatus
from skyrig.sdk.answers import (
    ClusterRecord,
    ClusterStatus,
    InstanceTypeInfo,
    JobRecord,
    ManagedJobRecord,
    ResourceHandle,
    ServiceRecord,
)
from skyrig.sdk.request import folder, managed, services

if TYPE_CHECKING:
    from skyrig.catalog.offers import Offer
    from skyrig.cluster.autostop import Autostop
    from skyrig.cluster.description import ClusterDescription
    from skyrig.task.model import Task

Notify = Callable[[str], None]

CONVERTER = cattrs.Converter()
"""Turns what the functions give into plain data and back."""


def launch(
    notify: Notify,
    *,
    task: Task,
    told: Sequence[str],
    cluster_name: str | None,
    setup: bool,
    autostop: Autostop | None,
    retry_until_up: bool,
) -> tuple[int | None, ResourceHandle]:
    """Provision, sync, set up, submit."""
    from skyrig import verbs

    _tell(told, notify)
    options = verbs.RunOptions(setup=setup, autostop=autostop, retry_until_up=retry_until_up)
    cluster, job = verbs.launch_job(task, cluster_name, options, notify)
    return None if job is None else job.id, handle(cluster)


def plan(
    notify: Notify, *, task: Task, told: Sequence[str], cluster_name: str | None, setup: bool
) -> tuple[None, None]:
    """Show what a launch would do; nothing is made, so there is no job and no cluster."""
    from skyrig import verbs
    from skyrig.planning import making, page

    _tell(told, notify)
    made = making.of_task(task, making.Question(cluster_name), verbs.RunOptions(setup=setup), notify)
    for line in page.text(made).splitlines():
        notify(line)
    return None, None


def optimize(notify: Notify, *, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The best offer for each task on clouds that can be used, as fields of `Resources`."""
    from skyrig import imaging, renting

    return [_fields(renting.offer(imaging.resolved(task))) for task in tasks]


def _fields(offer: Offer) -> dict[str, Any]:
    kind = offer.kind
    place = f"{offer.cloud}/{offer.region}" + (f"/{offer.zone}" if offer.zone else "")
    kinds = {"accelerators": {kind.accelerator: kind.accelerator_count}} if kind.accelerator else {}
    return {"infra": place, "instance_type": kind.name, "use_spot": offer.spot, **kinds}


def exec_(notify: Notify, *, task: Task, told: Sequence[str], cluster_name: str) -> tuple[int | None, ResourceHandle]:
    """Sync and submit on a cluster that is up."""
    from skyrig import verbs

    _tell(told, notify)
    cluster, job = verbs.exec_job(task, cluster_name, verbs.RunOptions(), notify)
    return job.id, handle(cluster)


def status(notify: Notify, *, cluster_names: Sequence[str] | None, refresh: bool) -> list[ClusterRecord]:
    """Clusters that are there, those of the names or patterns."""
    from skyrig.stack import described, stacks
    from skyrig.stack import status as status_of

    patterns = ["*"] if cluster_names is None else cluster_names
    names = [name for name in stacks.known() if any(fnmatchcase(name, pattern) for pattern in patterns)]
    for name in names if refresh else ():
        stacks.refresh(name, notify)
    found = []
    for each in status_of.of(names):
        cluster = described.describe(each.name)
        if each.status != "DOWN":
            at = None if cluster is None else handle(cluster)
            state = ClusterStatus(each.status)
            found.append(
                ClusterRecord(each.name, state, each.cloud, each.region, len(each.nodes), each.hourly_cost, at)
            )
    return found


def start(
    notify: Notify, *, cluster_name: str, force: bool, autostop: Autostop | None, retry_until_up: bool
) -> ResourceHandle:
    """Start a cluster that was stopped; with `force` repair it too."""
    from skyrig import renting, verbs
    from skyrig.bringing import Manner, up

    cluster = verbs.start(cluster_name, notify, autostop, renting.pays, retry=retry_until_up)
    if force:
        cluster = up(cluster_name, notify, manner=Manner(renting.pays, retry=retry_until_up))
    return handle(cluster)


def autostop(notify: Notify, *, cluster_name: str, autostop: Autostop | None) -> None:
    """Have a cluster stop or end itself when it is idle; None cancels that."""
    from skyrig import verbs

    verbs.autostop(cluster_name, autostop, notify)


def stop(notify: Notify, *, cluster_name: str) -> None:
    """Stop a cluster."""
    from skyrig import verbs

    verbs.stop(cluster_name, notify)


def down(notify: Notify, *, cluster_name: str) -> None:
    """Destroy a cluster."""
    from skyrig import verbs

    verbs.down(cluster_name, notify)


def endpoints(notify: Notify, *, cluster_name: str, port: int | None) -> dict[int, str]:
    """Where open ports are reached."""
    from skyrig import verbs

    return verbs.endpoints(cluster_name, port, notify)


def preflight(
    notify: Notify, *, cluster_name: str, nodes: tuple[str, ...], quick: bool, cordon: bool
) -> dict[str, Any]:
    """Look at a cluster's nodes."""
    from skyrig import preflighting

    return preflighting.run(cluster_name, preflighting.Wishes(nodes, quick, cordon=cordon), notify).to_json()


def queue(notify: Notify, *, cluster_name: str, skip_finished: bool) -> list[JobRecord]:
    """Jobs of a cluster, the newest first."""
    from skyrig import verbs

    return [
        JobRecord(
            job_id=job.id,
            job_name=job.name,
            username=job.user,
            status=job.status,
            submitted_at=job.submitted_at,
            start_at=job.started_at or None,
            end_at=job.ended_at or None,
            num_nodes=job.num_nodes,
            exit_code=job.exit_code,
            exit_codes=job.exit_codes,
            reason=job.reason,
        )
        for job in reversed(verbs.queue(cluster_name, notify))
        if not (skip_finished and job.status.ended)
    ]


def job_status(notify: Notify, *, cluster_name: str, job_ids: Sequence[int] | None) -> dict[int, JobStatus | None]:
    """Status of jobs (None: the newest one); None for one that is not known."""
    from skyrig import verbs

    known = {job.id: job.status for job in verbs.queue(cluster_name, notify)}
    wanted = list(known)[-1:] if job_ids is None else job_ids
    return {job_id: known.get(job_id) for job_id in wanted}


def cancel(notify: Notify, *, cluster_name: str, all: bool, job_ids: Sequence[int] | None) -> None:
    """Cancel jobs; with neither `all` nor ids the newest one that has not ended."""
    from skyrig import verbs

    wanted = None if all else list(job_ids or ())
    if wanted == []:
        wanted = [job.id for job in verbs.queue(cluster_name, notify) if not job.status.ended][-1:]
    done = verbs.cancel(cluster_name, wanted) if wanted != [] else []
    notify(f"cancelled: {', '.join(map(str, done))}" if done else "nothing to cancel")


def cost_report(notify: Notify, *, days: int | None) -> list[dict[str, Any]]:
    """What clusters have cost."""
    from skyrig import spending

    return spending.rows(spending.cost(None, days or 30, notify, free=True))


def check(notify: Notify, *, clouds: Sequence[str] | None, verbose: bool) -> dict[str, list[str]]:
    """Which clouds can be used."""
    from skyrig import checking
    from skyrig.clouds import cloud

    names = cloud.known() if clouds is None else tuple(_cloud(each, cloud.known()) for each in clouds)
    found = checking.check(names, None, None)
    for one in found:
        for each in one.findings:
            if verbose or each.ok is not True:
                notify(f"{one.cloud}: {each.what}: {each.said or 'ok'}")
    return {"default": [_shown(one.cloud) for one in found if one.usable]}


def enabled_clouds(notify: Notify) -> list[str]:
    """Clouds that seem to be usable."""
    from skyrig import renting

    return [_shown(name) for name, why in renting.missing().items() if not why]


def list_accelerators(
    notify: Notify, *, clouds: Sequence[str] | None, all_regions: bool, **wanted: Any
) -> dict[str, list[InstanceTypeInfo]]:
    """Types with accelerators."""
    from skyrig.catalog import accelerators, sources

    known = sources.table().clouds
    names = known if clouds is None else tuple(_cloud(each, known) for each in clouds)
    rows = accelerators.picked(accelerators.listed(), names, **wanted)
    found: dict[str, list[InstanceTypeInfo]] = {}
    for each in rows if all_regions else accelerators.cheapest_regions(rows):
        kind = each.kind
        info = InstanceTypeInfo(
            cloud=_shown(kind.cloud),
            instance_type=kind.name,
            accelerator_name=kind.accelerator,
            accelerator_count=kind.accelerator_count,
            cpu_count=kind.cpus or None,
            device_memory=kind.accelerator_memory_gib or None,
            memory=kind.memory_gib or None,
            price=each.on_demand,
            spot_price=each.spot,
            region=each.region,
        )
        found.setdefault(kind.accelerator, []).append(info)
    return found


def _cloud(name: str, known: Sequence[str]) -> str:
    """A cloud in whatever case, and whatever place of it stands behind a slash."""
    from skyrig.errors import BadInput

    cloud = str(name).partition("/")[0].lower()
    if cloud not in known:
        raise BadInput(f"{name}: no such cloud", hint="one of: " + ", ".join(known))
    return cloud


def _shown(name: str) -> str:
    """A cloud's name as SkyPilot's programs have it: AWS, GCP, Azure."""
    from skyrig.sdk import clouds

    return str(clouds.named(name))


def storage_ls(notify: Notify) -> list[dict[str, Any]]:
    """Buckets that were made here."""
    from skyrig import storing

    return [bucket.to_json() for bucket in storing.buckets()]


def storage_delete(notify: Notify, *, bucket: str) -> None:
    """Delete a bucket that was made here."""
    from skyrig import storing

    storing.delete([bucket], lambda question: True, notify)


def image_build(notify: Notify, *, image: str, task: Task, told: Sequence[str], force: bool) -> dict[str, Any]:
    """Build a machine image out of a task's setup; what its setup says is told."""
    from skyrig import building, listing, renting
    from skyrig.sdk.request.lines import Told

    _tell(told, notify)
    with Told(notify) as out:
        building.build(building.Wanted(image, task, again=force), out, notify, renting.pays)
    return next(each.to_json() for each in listing.listed() if each.name == image)


def image_ls(notify: Notify) -> list[dict[str, Any]]:
    """Images that were built here."""
    from skyrig import listing
    from skyrig.images import containers

    machines = [each.to_json() for each in listing.listed()]
    return [*machines, *(each.to_json() for each in containers.all_known())]


def image_delete(notify: Notify, *, image: str) -> None:
    """Delete a machine image."""
    from skyrig import building

    building.delete(image, notify, lambda question: True)


def api_cancel(notify: Notify, *, request_ids: Sequence[str]) -> list[str]:
    """End requests as Ctrl-C ends a command, and wait for their end; the ids of those that had not ended before."""
    living = [each for each in map(folder.find, request_ids) if each.runs()]
    for each in living:
        each.mark_cancelled()
        os.kill(each.said()["pid"], signal.SIGINT)
        notify(f"request {each.id} is cancelled")
    for each in living:
        each.runs(wait=True)
    return [each.id for each in living]


def handle(cluster: ClusterDescription) -> ResourceHandle:
    """Where a cluster is."""
    return ResourceHandle(
        cluster_name=cluster.name,
        head_ip=cluster.head.host,
        head_ssh_port=cluster.head.port,
        ssh_user=cluster.head.user,
        cloud=cluster.cloud,
        region=cluster.region,
        ips=tuple(node.host for node in cluster.nodes),
        internal_ips=tuple(node.address for node in cluster.nodes),
    )


def _tell(told: Sequence[str], notify: Notify) -> None:
    for line in told:
        notify(line)


@frozen
class Work:
    """One kind of request: `do` is called with a taker of lines and what was given; `gives` is the type of what it
    returns."""

    do: Callable[..., Any]
    gives: Any


_JOB_AND_PLACE = tuple[int | None, ResourceHandle]

WORK = {
    "launch": Work(launch, _JOB_AND_PLACE),
    "plan": Work(plan, tuple[None, None]),
    "optimize": Work(optimize, list[dict[str, Any]]),
    "exec": Work(exec_, _JOB_AND_PLACE),
    "status": Work(status, list[ClusterRecord]),
    "start": Work(start, ResourceHandle),
    "stop": Work(stop, None),
    "autostop": Work(autostop, None),
    "down": Work(down, None),
    "endpoints": Work(endpoints, dict[int, str]),
    "preflight": Work(preflight, dict[str, Any]),
    "queue": Work(queue, list[JobRecord]),
    "job_status": Work(job_status, dict[int, JobStatus | None]),
    "cancel": Work(cancel, None),
    "cost_report": Work(cost_report, list[dict[str, Any]]),
    "check": Work(check, dict[str, list[str]]),
    "enabled_clouds": Work(enabled_clouds, list[str]),
    "list_accelerators": Work(list_accelerators, dict[str, list[InstanceTypeInfo]]),
    "image_build": Work(image_build, dict[str, Any]),
    "image_ls": Work(image_ls, list[dict[str, Any]]),
    "image_delete": Work(image_delete, None),
    "storage_ls": Work(storage_ls, list[dict[str, Any]]),
    "storage_delete": Work(storage_delete, None),
    "jobs.launch": Work(managed.launch, tuple[int | None, ResourceHandle | None]),
    "jobs.queue": Work(managed.queue, list[ManagedJobRecord]),
    "jobs.cancel": Work(managed.cancel, None),
    "serve.up": Work(services.up, tuple[str, str]),
    "serve.update": Work(services.update, None),
    "serve.status": Work(services.status, list[ServiceRecord]),
    "serve.down": Work(services.down, None),
    "serve.terminate_replica": Work(services.terminate_replica, None),
    "api_cancel": Work(api_cancel, list[str]),
}
"""Kinds of requests by name."""
