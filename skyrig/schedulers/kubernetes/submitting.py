"""How a job comes to a Kubernetes cluster: in steps, of which each may be done again.

A number by the submission's key; the JobSet of that number, suspended; what belongs to it; then it may begin. A client
that was killed on the way and comes again with the same key finds what is there, and does the rest.
"""

from __future__ import annotations

import time
from typing import Any

from attrs import evolve

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.launch.files import Bundle, Notify, gathered
from skyrig.launch.submission import Submission
from skyrig.schedulers.kubernetes import archive, devices, ledger, names, texts
from skyrig.schedulers.kubernetes.api import CORE, JOBS, JOBSETS, Api, Refused
from skyrig.schedulers.kubernetes.asked import Asked
from skyrig.schedulers.kubernetes.manifests import Plan, Said, owned, plan

Thing = dict[str, Any]


async def submit(api: Api, desc: ClusterDescription, what: Submission, least: int, notify: Notify) -> Thing | None:
    """The workload of a submission, made now or before; None where it was made before and is gone. Its number, where it
    is a new one, is at least `least`."""
    asked, bundles = Asked(**what.batch.said), _bundles(desc, what, notify)
    packed = archive.packed(bundles)
    jobset = await has_jobsets(api)
    number, is_new = await ledger.number(api, desc.name, what.request.key, least)
    if not jobset:
        notify(f"{api.context} has no JobSet: an indexed Job and a headless Service stand for it")
    nodes = await _nodes(api) if asked.count else []
    if asked.best and asked.count:
        fabric, wanted = devices.fabric(nodes, asked.accelerator)
        asked = evolve(asked, fabric=fabric, devices=wanted)
        notify(f"the network between nodes: {fabric or 'what every pod has'}")
    making = of_job(desc, what, asked, bundles, packed, number, devices.chosen(nodes, asked.accelerator), jobset=jobset)
    plural = (JOBSETS, "jobsets") if jobset else (JOBS, "jobs")
    found = await api.get(api.path(*plural, making.name))
    if found is None and not is_new and number in await ledger.records(api, desc.name):
        return None
    if found is None:
        found = await api.create(api.path(*plural), making.workload)
    if found is None:  # somebody with the same key was faster
        found = await api.get(api.path(*plural, making.name))
    if found is None or found["metadata"]["annotations"][names.KEY] != what.request.key:
        raise SkyrigError(f"{making.name} is there already, and is another job", hint="try again")
    await _complete(api, making, found)
    if found["spec"].get("suspend") and not asked.queue:
        await api.patch(api.path(*plural, making.name), {"spec": {"suspend": False}})
    return {**found, "spec": {**found["spec"], "suspend": bool(asked.queue)}}


def of_job(
    desc: ClusterDescription,
    what: Submission,
    asked: Asked,
    bundles: list[Bundle],
    packed: bytes,
    number: int,
    chosen: dict[str, list[str]],
    *,
    jobset: bool,
    now: float | None = None,
) -> Plan:
    """All that is made for a submission, as objects."""
    request, at = what.request, time.time() if now is None else now
    said = Said(desc.name, number, request.name, request.user, request.key, at)
    hosts = names.hosts(said.name, request.num_nodes, jobset=jobset)
    files = texts.of_job(desc, request, asked, hosts, archive.places(bundles), _task_id(desc, number, at), number)
    secret = texts.secret(request) if request.secrets else ""
    return plan(said, asked, request.num_nodes, files, secret=secret, archive=packed, chosen=chosen, jobset=jobset)


async def has_jobsets(api: Api) -> bool:
    """Whether the cluster has the kind JobSet."""
    return await api.get(JOBSETS) is not None


async def _complete(api: Api, making: Plan, workload: Thing) -> None:
    """Make what belongs to a workload and is not there yet."""
    kinds = [("configmaps", making.config), *(("secrets", each) for each in making.secrets)]
    if making.service is not None:
        kinds.append(("services", making.service))
    kind = {"apiVersion": making.workload["apiVersion"], "kind": making.workload["kind"]}
    for plural, thing in kinds:
        await api.create(api.path(CORE, plural), owned(thing, {**workload, **kind}))


async def _nodes(api: Api) -> list[Thing]:
    """The cluster's nodes; none where the user may not see them, and then Kubernetes alone finds those that fit."""
    try:
        return await api.items(f"{CORE}/nodes")
    except Refused as error:
        if error.code == 403:
            return []
        raise


def _bundles(desc: ClusterDescription, what: Submission, notify: Notify) -> list[Bundle]:
    scripts = [what.request.run, *([what.request.setup] if what.request.setup else [])]
    named = [text for each in scripts for name, text in each.files.items() if "/" not in name]
    return gathered(desc.name, what.workdir, what.mounts, named, notify)


def _task_id(desc: ClusterDescription, number: int, at: float) -> str:
    """SkyPilot's form."""
    moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(at))
    return f"sky-{moment}-{int(at % 1 * 1e6):06d}_{desc.name}_{number}"
