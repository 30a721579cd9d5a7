"""Waiting for the pods of a cluster, and looking at them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve

from skyrig.clouds.kubernetes import seen
from skyrig.clouds.kubernetes.door import Door
from skyrig.clouds.kubernetes.names import selector
from skyrig.clouds.kubernetes.seen import SeenPod
from skyrig.errors import SkyrigError

_LOOK_S = 0.5
_BROKEN_S = 120.0
"""How long a container may wait for its image or its config: some of that mends itself."""


class NotRunning(SkyrigError):
    """Pods that shall run do not: the text names the code by which failover knows why."""


def look(door: Door, namespace: str, cluster: str, jobs: Mapping[str, Sequence[str]]) -> dict[str, SeenPod]:
    """The pods by node id."""
    found: dict[str, SeenPod] = {}
    for job, nodes in jobs.items():
        there = seen.by_index(door.listed(f"/api/v1/namespaces/{namespace}/pods", selector({seen.JOB: job})))
        found |= {node: seen.seen(there.get(index)) for index, node in enumerate(nodes)}
    return found


def told(cluster: str, jobs: Mapping[str, Sequence[str]], pods: Mapping[str, SeenPod]) -> dict[str, Any]:
    """The same as plain data, with the labels by which each is found."""
    return {
        node: {
            "uid": pods[node].uid,
            "name": pods[node].name,
            "ip": pods[node].ip,
            "machine": pods[node].machine,
            "phase": pods[node].phase,
            "selector": seen.way(cluster, job, index, node, len(nodes) == 1),
        }
        for job, nodes in jobs.items()
        for index, node in enumerate(nodes)
    }


def wait(
    door: Door, namespace: str, cluster: str, jobs: Mapping[str, Sequence[str]], timeout_s: float
) -> dict[str, SeenPod]:
    """The pods by node id, once all run. NotRunning where one has ended, or not all run in time; `timeout_s` below 0 is
    without end."""
    began = time.monotonic()
    while True:
        pods = look(door, namespace, cluster, jobs)
        if all(each.runs for each in pods.values()):
            return pods
        taken = time.monotonic() - began
        missing = {node: _of_job(door, namespace, jobs, node) for node, each in pods.items() if each.phase == "Gone"}
        pods = {node: evolve(each, why=missing.get(node, each.why)) for node, each in pods.items()}
        late = taken > timeout_s >= 0
        for error in _errors(pods, late=late, broken=taken > _BROKEN_S):
            raise error
        time.sleep(_LOOK_S)  # the API is looked at again: pods tell nobody when they run


def _errors(pods: Mapping[str, SeenPod], *, late: bool, broken: bool) -> Iterator[NotRunning]:
    """What is wrong for good, the worst first."""
    for node, pod in pods.items():
        if pod.phase in ("Failed", "Succeeded"):
            yield NotRunning(f"node {node}: its pod {pod.name} has ended: {pod.why or pod.phase}")
        if pod.code == "Broken" and broken:
            yield NotRunning(f"node {node}: its pod {pod.name} cannot start: {pod.why}")
        if "exceeded quota" in pod.why:
            yield NotRunning(f"node {node}: SkyrigQuota: {pod.why}")
    if late:
        node, pod = next((node, pod) for node, pod in pods.items() if not pod.runs)
        waits = "SkyrigNotAdmitted" if pod.why.startswith("Suspended") else "SkyrigPodsPending"
        code = pod.code if pod.code.startswith("Skyrig") else waits
        yield NotRunning(f"node {node}: {code}: {pod.why or f'its pod is {pod.phase}'}")


def _of_job(door: Door, namespace: str, jobs: Mapping[str, Sequence[str]], node: str) -> str:
    """What a Job that has made no pod for a node says of that."""
    job = next(name for name, nodes in jobs.items() if node in nodes)
    found = door.there(f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}")
    if found is None:
        return "its Job is not there"
    if found.get("spec", {}).get("suspend"):
        return "Suspended: no queue has admitted it yet"
    if seen.has_ended(found):
        last = found["status"]["conditions"][-1]
        return f"{last.get('reason', '')}: {last.get('message', '')}"
    path = f"/api/v1/namespaces/{namespace}/events"
    query = {"fieldSelector": f"involvedObject.name={job},reason=FailedCreate"}
    events = door.call("GET", path, query).get("items", ())
    return str(events[-1].get("message", "")) if events else ""


def gone(door: Door, namespace: str, job: str, timeout_s: float) -> bool:
    """Whether nothing of a Job is left, after waiting for it."""
    until = time.monotonic() + timeout_s
    while True:
        left = list(door.listed(f"/api/v1/namespaces/{namespace}/pods", selector({seen.JOB: job})))
        if not left and door.there(f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}") is None:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_S)  # as above


def ended(door: Door, namespace: str, job: str) -> bool:
    """Whether a Job has ended, or has lost a pod. One that is not made yet has not."""
    found = door.there(f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}")
    if found is None:
        return False
    if seen.has_ended(found):
        return True
    pods = door.listed(f"/api/v1/namespaces/{namespace}/pods", selector({seen.JOB: job}))
    return any(seen.seen(pod).phase in ("Failed", "Succeeded") for pod in pods)
