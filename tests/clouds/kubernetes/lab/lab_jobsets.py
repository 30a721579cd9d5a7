"""A stand-in for the JobSet controller: child Jobs, the service of their names, restarts, and how the whole stands.

What it makes has the names and labels that the controller gives (kubernetes-sigs/jobset, pkg/controllers, v0.12.0). Not
here: startup and success policies other than the defaults, failure rules, in-place restarts, claims, coordinators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from lab_client import Client, Object, Refused
from lab_round import condition, ended, owned_by, set_condition

VERSION = "jobset.x-k8s.io/v1alpha2"
_L = "jobset.sigs.k8s.io/"


def look(client: Client) -> None:
    """Bring every JobSet one step on."""
    jobs = client.all("batch/v1", "Job", "")
    for each in client.all(VERSION, "JobSet", ""):
        if "deletionTimestamp" not in each["metadata"] and ended(each) is None:
            _step(client, each, [job for job in jobs if owned_by(job, each)])


def wanted_jobs(jobset: Object) -> list[Object]:
    """The Jobs that a JobSet stands for, in its present attempt."""
    made = []
    total = sum(each.get("replicas", 1) for each in jobset["spec"]["replicatedJobs"])
    first = 0
    for kind in jobset["spec"]["replicatedJobs"]:
        for index in range(kind.get("replicas", 1)):
            made.append(_job(jobset, kind, index, first + index, total))
        first += kind.get("replicas", 1)
    return made


def _job(jobset: Object, kind: Mapping[str, Any], index: int, place: int, total: int) -> Object:
    meta = jobset["metadata"]
    name = f"{meta['name']}-{kind['name']}-{index}"
    key = hashlib.sha1(f"{meta['namespace']}/{name}".encode()).hexdigest()
    marks = {
        f"{_L}jobset-name": meta["name"],
        f"{_L}jobset-uid": meta["uid"],
        f"{_L}replicatedjob-name": kind["name"],
        f"{_L}restart-attempt": str(_restarts(jobset)),
        f"{_L}replicatedjob-replicas": str(kind.get("replicas", 1)),
        f"{_L}global-replicas": str(total),
        f"{_L}job-index": str(index),
        f"{_L}job-key": key,
        f"{_L}job-global-index": str(place),
    }
    said = kind["template"]
    own = said.get("metadata", {})
    spec = {"completionMode": "Indexed", **said["spec"], "suspend": bool(jobset["spec"].get("suspend"))}
    inner = spec["template"].get("metadata", {})
    pods = {"restartPolicy": "OnFailure", **spec["template"]["spec"]}
    if jobset["spec"].get("network", {}).get("enableDNSHostnames", True):
        pods["subdomain"] = _subdomain(jobset)
    spec["template"] = {"metadata": _marked(inner, marks), "spec": pods}
    at = {"name": name, "namespace": meta["namespace"], "ownerReferences": [_owner(jobset)]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**_marked(own, marks), **at}, "spec": spec}


def _marked(meta: Mapping[str, Any], marks: Mapping[str, str]) -> Object:
    kept = {part: {**meta.get(part, {}), **marks} for part in ("labels", "annotations")}
    return {**meta, **kept}


def _step(client: Client, jobset: Object, jobs: Sequence[Object]) -> None:
    attempt = str(_restarts(jobset))
    here = [job for job in jobs if job["metadata"]["labels"].get(f"{_L}restart-attempt") == attempt]
    before = [job for job in jobs if job not in here]
    for job in before:
        client.delete(job)
    _say(client, jobset, here)
    if any(ended(job) == "Failed" for job in here):
        _failed(client, jobset)
        return
    wanted = wanted_jobs(jobset)
    if here and len(here) == len(wanted) and all(ended(job) == "Complete" for job in here):
        _finish(client, jobset, "Completed", "AllJobsCompleted", "jobset completed successfully")
        return
    if before:
        return
    _service(client, jobset)
    there = {job["metadata"]["name"]: job for job in here}
    for job in wanted:
        if job["metadata"]["name"] not in there:
            client.ask("POST", client.path("batch/v1", "Job", job["metadata"]["namespace"]), job)
        else:
            _suspend(client, there[job["metadata"]["name"]], job)


def _suspend(client: Client, job: Object, wanted: Object) -> None:
    """Have a Job suspended or not as its JobSet is; what a queue added to the pods comes with it."""
    if ended(job) is not None or job["spec"].get("suspend", False) == wanted["spec"]["suspend"]:
        return
    if not wanted["spec"]["suspend"] and (chosen := wanted["spec"]["template"]["spec"].get("nodeSelector")):
        client.patch(job, {"spec": {"template": {"spec": {"nodeSelector": chosen}}}})
    client.patch(job, {"spec": {"suspend": wanted["spec"]["suspend"]}})


def _failed(client: Client, jobset: Object) -> None:
    policy = jobset["spec"].get("failurePolicy", {})
    count = jobset.get("status", {}).get("restartsCountTowardsMax", 0)
    if count < policy.get("maxRestarts", 0):
        more = {"restarts": _restarts(jobset) + 1, "restartsCountTowardsMax": count + 1}
        client.patch(jobset, {"status": more}, "status")
        return
    many = "ReachedMaxRestarts" if policy.get("maxRestarts") else "FailedJobs"
    _finish(client, jobset, "Failed", many, "jobset failed due to one or more job failures")


def _finish(client: Client, jobset: Object, kind: str, reason: str, message: str) -> None:
    set_condition(client, jobset, condition(kind, "True", reason, message), terminalState=kind)


def _say(client: Client, jobset: Object, jobs: Sequence[Object]) -> None:
    """Count its Jobs by what becomes of them, and say whether it is suspended."""
    counts = []
    for kind in jobset["spec"]["replicatedJobs"]:
        own = [job for job in jobs if job["metadata"]["labels"][f"{_L}replicatedjob-name"] == kind["name"]]
        going = [job for job in own if ended(job) is None]
        counts.append(
            {
                "name": kind["name"],
                "ready": sum(_is_ready(job) for job in own),
                "succeeded": sum(ended(job) == "Complete" for job in own),
                "failed": sum(ended(job) == "Failed" for job in own),
                "active": sum(job.get("status", {}).get("active", 0) > 0 for job in going),
                "suspended": sum(bool(job["spec"].get("suspend")) for job in going),
            }
        )
    status = jobset.get("status", {})
    held = bool(jobset["spec"].get("suspend"))
    words = ("SuspendedJobs", "jobset is suspended") if held else ("ResumeJobs", "jobset is resumed")
    said = condition("Suspended", "True" if held else "False", *words)
    known = next((each for each in status.get("conditions", []) if each["type"] == "Suspended"), None)
    more = {"restarts": _restarts(jobset), "restartsCountTowardsMax": status.get("restartsCountTowardsMax", 0)}
    if (held or known) and (known or {}).get("status") != said["status"]:
        set_condition(client, jobset, said, replicatedJobsStatus=counts, **more)
    elif status.get("replicatedJobsStatus") != counts:
        client.patch(jobset, {"status": {"replicatedJobsStatus": counts, **more}}, "status")


def _is_ready(job: Object) -> bool:
    status, spec = job.get("status", {}), job["spec"]
    count = min(spec.get("parallelism", 1), spec.get("completions", spec.get("parallelism", 1)))
    return bool(status.get("ready", 0) + status.get("succeeded", 0) >= count)


def _service(client: Client, jobset: Object) -> None:
    network = jobset["spec"].get("network", {})
    name, space = _subdomain(jobset), jobset["metadata"]["namespace"]
    if not network.get("enableDNSHostnames", True) or client.get("v1", "Service", name, space):
        return
    spec = {
        "clusterIP": "None",
        "selector": {f"{_L}jobset-name": jobset["metadata"]["name"]},
        "publishNotReadyAddresses": network.get("publishNotReadyAddresses", True),
    }
    meta = {"name": name, "namespace": space, "ownerReferences": [_owner(jobset)]}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
    try:
        client.ask("POST", client.path("v1", "Service", space), made)
    except Refused as refused:
        if refused.code != 409:
            raise


def _subdomain(jobset: Object) -> str:
    name: str = jobset["spec"].get("network", {}).get("subdomain") or jobset["metadata"]["name"]
    return name


def _restarts(jobset: Object) -> int:
    count: int = jobset.get("status", {}).get("restarts", 0)
    return count


def _owner(jobset: Object) -> Object:
    named = {"name": jobset["metadata"]["name"], "uid": jobset["metadata"]["uid"]}
    return {"apiVersion": VERSION, "kind": "JobSet", **named, "controller": True, "blockOwnerDeletion": True}
