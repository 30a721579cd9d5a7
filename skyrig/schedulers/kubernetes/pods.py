"""The pod of one node of a job: pure, from what is asked for to its object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.catalog import facts
from skyrig.clouds.kubernetes import machines
from skyrig.clouds.kubernetes.merging import merged
from skyrig.schedulers.kubernetes import names, texts
from skyrig.schedulers.kubernetes.asked import Asked

IMAGE = "python:3.12-slim-bookworm"
"""What a task runs in that names no image: it has bash and Python."""

CONTAINER = "node"

_BY_RANK = "batch.kubernetes.io/job-completion-index"


def pod(
    asked: Asked,
    labels: Mapping[str, str],
    files: Sequence[str],
    *,
    name: str,
    nodes: int,
    chosen: Mapping[str, Sequence[str]],
    has_secrets: bool,
    has_files: bool,
) -> dict[str, Any]:
    """The template of a job's pods, metadata and spec. `files` are the paths of its ConfigMap, `chosen` the labels of
    nodes that will do (skyrig.schedulers.kubernetes.devices)."""
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": texts.GRACE_S,
        "containers": [_container(asked, has_secrets=has_secrets, has_files=has_files)],
        "volumes": _volumes(asked, name, files, has_secrets=has_secrets, has_files=has_files),
    }
    if asked.priority and not asked.queue:
        spec["priorityClassName"] = asked.priority
    if asked.count:
        spec["tolerations"] = [{"key": machines.resource_of(asked.accelerator), "operator": "Exists"}]
    affinity = _affinity(labels, nodes, chosen)
    if affinity:
        spec["affinity"] = affinity
    metadata: dict[str, Any] = {"labels": {**asked.labels, **labels}}
    if asked.annotations:
        metadata["annotations"] = dict(asked.annotations)
    ours = {"metadata": metadata, "spec": spec}
    if asked.fabric:
        ours = merged(ours, facts.of("kubernetes", "fabric")[asked.fabric].get("pod", {}))
    return merged(ours, _named(asked.pod))


def key_of(path: str) -> str:
    """The key of a ConfigMap for a file at `path`: keys have no '/'."""
    return path.replace("/", "..")


def _named(pod_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A pod_config whose first container, which is the node's whatever it is called, has the node's name."""
    containers = (pod_config.get("spec") or {}).get("containers")
    if not containers:
        return pod_config
    first = {**containers[0], "name": CONTAINER}
    return {**pod_config, "spec": {**pod_config["spec"], "containers": [first, *containers[1:]]}}


def _container(asked: Asked, *, has_secrets: bool, has_files: bool) -> dict[str, Any]:
    mounts = [
        {"name": "job", "mountPath": "/skyrig/job", "readOnly": True},
        {"name": "own", "mountPath": "/skyrig/own"},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]
    if has_secrets:
        mounts.append({"name": "secret", "mountPath": "/skyrig/secret", "readOnly": True})
    if has_files:
        mounts.append({"name": "files", "mountPath": "/skyrig/files", "readOnly": True})
    mounts += [{"name": f"claim-{at}", "mountPath": place} for at, place in enumerate(asked.claims)]
    index = {"fieldRef": {"fieldPath": f"metadata.annotations['{_BY_RANK}']"}}
    found: dict[str, Any] = {
        "name": CONTAINER,
        "image": asked.image or IMAGE,
        "command": ["/bin/bash", "/skyrig/job/begin.sh"],
        "env": [{"name": "JOB_COMPLETION_INDEX", "valueFrom": index}],
        "volumeMounts": mounts,
    }
    wanted = _resources(asked)
    return {**found, "resources": wanted} if wanted else found


def _resources(asked: Asked) -> dict[str, Any]:
    requests: dict[str, str] = {}
    if asked.cpus:
        requests["cpu"] = f"{asked.cpus:g}"
    if asked.memory_gb:
        requests["memory"] = f"{int(asked.memory_gb * 1024)}Mi"
    if not asked.count:
        return {"requests": requests} if requests else {}
    counted = {machines.resource_of(asked.accelerator): str(asked.count), **asked.devices}
    return {"requests": {**requests, **counted}, "limits": counted}


def _volumes(asked: Asked, name: str, files: Sequence[str], *, has_secrets: bool, has_files: bool) -> list[Any]:
    items = [{"key": key_of(path), "path": path} for path in files]
    found: list[Any] = [
        {"name": "job", "configMap": {"name": name, "items": items, "defaultMode": 0o555}},
        {"name": "own", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
    if has_secrets:
        found.append({"name": "secret", "secret": {"secretName": name, "defaultMode": 0o444}})
    if has_files:
        found.append({"name": "files", "secret": {"secretName": f"{name}-files", "defaultMode": 0o444}})
    claims = asked.claims.values()
    return found + [{"name": f"claim-{at}", "persistentVolumeClaim": {"claimName": claim}}
                    for at, claim in enumerate(claims)]  # fmt: skip


def _affinity(labels: Mapping[str, str], nodes: int, chosen: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Onto nodes that have the accelerators, and as far as it can be onto different ones."""
    found: dict[str, Any] = {}
    if chosen:
        terms = [
            {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}
            for key, values in chosen.items()
        ]
        found["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    if nodes > 1:
        own = {key: labels[key] for key in (names.STACK, names.JOB)}
        term = {"labelSelector": {"matchLabels": own}, "topologyKey": "kubernetes.io/hostname"}
        found["podAntiAffinity"] = {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    return found
