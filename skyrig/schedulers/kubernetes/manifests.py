"""All that is made on the cluster for a job, as objects of its API: pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from skyrig.errors import BadInput
from skyrig.schedulers.kubernetes import names, pods
from skyrig.schedulers.kubernetes.asked import Asked

LIMIT = 900_000
"""Bytes that one ConfigMap or Secret of a job may hold: Kubernetes itself refuses what is over 1 MiB."""


@frozen
class Plan:
    """What a job consists of there. `workload` is its JobSet, or where the cluster has no such kind its indexed Job;
    the others belong to that one, and go with it. `secrets` may not be shown."""

    workload: dict[str, Any]
    config: dict[str, Any]
    secrets: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    service: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The workload's name, which most of them have."""
        return str(self.workload["metadata"]["name"])

    @property
    def is_jobset(self) -> bool:
        """Whether the workload is a JobSet."""
        return bool(self.workload["kind"] == "JobSet")

    @property
    def shown(self) -> list[dict[str, Any]]:
        """All of them as they may be shown, what is secret masked."""
        masked = [{**each, "data": dict.fromkeys(each["data"], "<secret>")} for each in self.secrets]
        return [each for each in (self.workload, self.service, self.config, *masked) if each is not None]


@frozen
class Said:
    """What a job's objects say of it, for whoever asks later: its number, the stack's and the task's name, who made it,
    the submission's key, the moment in seconds since the epoch."""

    stack: str
    number: int
    task: str
    owner: str
    key: str
    submitted_at: float

    @property
    def name(self) -> str:
        """What its objects are called."""
        return names.job(self.stack, self.number)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its objects."""
        return names.labels(self.stack, self.number, self.owner, self.task)


def plan(
    said: Said,
    asked: Asked,
    nodes: int,
    files: Mapping[str, str],
    *,
    secret: str = "",
    archive: bytes = b"",
    chosen: Mapping[str, list[str]],
    jobset: bool = True,
) -> Plan:
    """What is made for a job of `nodes` nodes, with `files` (texts by path), the text `secret` and the `archive` of its
    files. BadInput where that is too much, or cannot be had without JobSet."""
    if asked.max_restarts and not jobset:
        raise BadInput(
            "the cluster has no JobSet, and an indexed Job cannot begin all of its nodes anew",
            hint="leave max_restarts_on_errors away, or have jobset.x-k8s.io installed there",
        )
    template = pods.pod(
        asked,
        said.labels,
        list(files),
        name=said.name,
        nodes=nodes,
        chosen=chosen,
        has_secrets=bool(secret),
        has_files=bool(archive),
    )
    make = _jobset if jobset else _job
    held = [_secret(said, said.name, "env.sh", secret.encode(errors="surrogateescape"))] if secret else []
    held += [_secret(said, f"{said.name}-files", "files.tar.gz", archive)] if archive else []
    service = None if jobset else _service(said)
    return Plan(make(said, asked, nodes, template), _config(said, files), tuple(held), service)


def owned(thing: Mapping[str, Any], owner: Mapping[str, Any]) -> dict[str, Any]:
    """`thing` as it belongs to `owner`, which is there, and goes with it."""
    meta = owner["metadata"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    return {**thing, "metadata": {**thing["metadata"], "ownerReferences": [reference]}}


def _metadata(said: Said, asked: Asked, nodes: int) -> dict[str, Any]:
    labels = {**asked.labels, **said.labels}
    if asked.queue:
        labels["kueue.x-k8s.io/queue-name"] = asked.queue
        if asked.priority:
            labels["kueue.x-k8s.io/priority-class"] = asked.priority
    about = {
        names.KEY: said.key,
        names.NAME: said.task,
        names.USER: said.owner,
        names.SUBMITTED: f"{said.submitted_at:.6f}",
        names.NODES: str(nodes),
    }
    return {"name": said.name, "labels": labels, "annotations": {**asked.annotations, **about}}


def _job_spec(nodes: int, template: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "parallelism": nodes,
        "completions": nodes,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "template": dict(template),
    }


def _jobset(said: Said, asked: Asked, nodes: int, template: Mapping[str, Any]) -> dict[str, Any]:
    """It is made suspended: a queue lets it begin, or whoever made it once all of its files are there."""
    own = {"metadata": {"labels": said.labels}, "spec": _job_spec(nodes, template)}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": _metadata(said, asked, nodes),
        "spec": {
            "suspend": True,
            "ttlSecondsAfterFinished": asked.keep_s,
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True, "subdomain": said.name},
            "successPolicy": {"operator": "All"},
            "failurePolicy": {"maxRestarts": asked.max_restarts},
            "replicatedJobs": [{"name": "node", "replicas": 1, "template": own}],
        },
    }


def _job(said: Said, asked: Asked, nodes: int, template: Mapping[str, Any]) -> dict[str, Any]:
    named = {**template, "spec": {**template["spec"], "subdomain": said.name}}
    spec = {"suspend": True, "ttlSecondsAfterFinished": asked.keep_s, **_job_spec(nodes, named)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(said, asked, nodes), "spec": spec}


def _service(said: Said) -> dict[str, Any]:
    """The domain in which the pods of an indexed Job have names."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": said.name, "labels": said.labels},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": said.name},
        },
    }


def _config(said: Said, files: Mapping[str, str]) -> dict[str, Any]:
    """The job's texts: those that are no text for Kubernetes, which wants UTF-8, as bytes."""
    contents = {pods.key_of(path): text.encode(errors="surrogateescape") for path, text in files.items()}
    if sum(map(len, contents.values())) > LIMIT:
        raise BadInput("the texts of setup and run are too large for Kubernetes: 900 kB are the most a job has")
    plain, raw = {}, {}
    for key, data in contents.items():
        try:
            plain[key] = data.decode()
        except UnicodeDecodeError:
            raw[key] = base64.b64encode(data).decode()
    found: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": said.name, "labels": said.labels},
        "data": plain,
    }
    return {**found, "binaryData": raw} if raw else found


def _secret(said: Said, name: str, key: str, data: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "labels": said.labels},
        "data": {key: base64.b64encode(data).decode()},
    }
