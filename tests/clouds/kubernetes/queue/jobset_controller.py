"""What JobSet's controller does, as far as jobs of one replicated job see it, and Kueue's admission of one workload:
stand-ins beside the real API server, which checks all that is made.

After the documents of the projects (jobset.sigs.k8s.io/docs/concepts, kueue.sigs.k8s.io/docs/tasks/run/jobsets): child
Jobs are called NAME-REPLICATED-INDEX and made when it is not suspended, the headless service is the network's
subdomain, a failed child makes all begin anew while restarts are left, and labels carry its names and the attempt.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
from pathlib import Path
from typing import Any

import yaml
from lab_client import Client, Object, Refused

GROUP = "jobset.sigs.k8s.io"
VERSION = "jobset.x-k8s.io/v1alpha2"


def install(client: Client) -> None:
    """Have the kind served."""
    made = yaml.safe_load(Path(__file__).with_name("jobset.yaml").read_text())
    name = made["metadata"]["name"]
    if client.get(made["apiVersion"], made["kind"], name) is None:
        client.ask("POST", client.path(made["apiVersion"], made["kind"]), made)

    def served() -> bool:
        with contextlib.suppress(Refused, KeyError, LookupError):
            client.ask("GET", f"/apis/{VERSION}/jobsets")
            return True
        return False

    client.wait(served, what="JobSets served")


class JobSets(threading.Thread):
    """The controller; it ends at `close`."""

    def __init__(self, client: Client, namespace: str) -> None:
        super().__init__(daemon=True)
        self._client, self._namespace = client, namespace
        self._over = threading.Event()

    def run(self) -> None:
        """Look at all of them, again and again."""
        while not self._over.wait(0.1):
            there = self._client.all(VERSION, "JobSet", self._namespace)
            self._forget({jobset["metadata"]["uid"] for jobset in there})
            for jobset in there:
                with contextlib.suppress(Refused):  # it was changed or deleted meanwhile
                    self._reconcile(jobset)

    def close(self) -> None:
        """Stop it."""
        self._over.set()
        self.join(10)

    def _forget(self, there: set[str]) -> None:
        """Delete what belongs to JobSets that are gone, as the garbage collector does once it knows the kind: it looks
        for new ones every 30 s."""
        for version, kind in (("v1", "Service"), ("batch/v1", "Job")):
            for each in self._client.all(version, kind, self._namespace):
                owners = each["metadata"].get("ownerReferences", ())
                if any(owner["kind"] == "JobSet" and owner["uid"] not in there for owner in owners):
                    self._client.delete(each)

    def _reconcile(self, jobset: Object) -> None:
        status = jobset.get("status") or {}
        if jobset["spec"].get("suspend") or status.get("terminalState") or "deletionTimestamp" in jobset["metadata"]:
            return
        self._serve(jobset)
        attempt = int(status.get("restarts", 0))
        replicated = jobset["spec"]["replicatedJobs"][0]
        name = f"{jobset['metadata']['name']}-{replicated['name']}-0"
        job = self._client.get("batch/v1", "Job", name, self._namespace)
        if job is None:
            self._client.apply(self._child(jobset, replicated, name, attempt))
            return
        if int(job["metadata"]["labels"][f"{GROUP}/restart-attempt"]) != attempt:
            self._client.delete(job)
            return
        for each in (job.get("status") or {}).get("conditions", ()):
            if each["status"] == "True" and each["type"] in ("Complete", "Failed"):
                self._ended(jobset, each, attempt)

    def _ended(self, jobset: Object, said: dict[str, Any], attempt: int) -> None:
        if said["type"] == "Failed" and attempt < jobset["spec"]["failurePolicy"]["maxRestarts"]:
            self._client.patch(jobset, {"status": {"restarts": attempt + 1}}, "status")
            return
        kind = "Failed" if said["type"] == "Failed" else "Completed"
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": kind, "status": "True", "reason": kind, "message": said.get("message", ""),
                     "lastTransitionTime": now}  # fmt: skip
        self._client.patch(jobset, {"status": {"terminalState": kind, "conditions": [condition]}}, "status")

    def _serve(self, jobset: Object) -> None:
        name = jobset["spec"]["network"]["subdomain"]
        if self._client.get("v1", "Service", name, self._namespace) is None:
            selector = {f"{GROUP}/jobset-name": jobset["metadata"]["name"]}
            spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector}
            self._client.apply({"apiVersion": "v1", "kind": "Service", "metadata": self._owned(jobset, name, {}),
                                "spec": spec})  # fmt: skip

    def _child(self, jobset: Object, replicated: dict[str, Any], name: str, attempt: int) -> Object:
        labels = {
            f"{GROUP}/jobset-name": jobset["metadata"]["name"],
            f"{GROUP}/replicatedjob-name": replicated["name"],
            f"{GROUP}/job-index": "0",
            f"{GROUP}/restart-attempt": str(attempt),
        }
        own = replicated["template"]
        pod = own["spec"]["template"]
        meta = {**pod.get("metadata", {}), "labels": {**(pod.get("metadata") or {}).get("labels", {}), **labels}}
        template = {"metadata": meta, "spec": {**pod["spec"], "subdomain": jobset["spec"]["network"]["subdomain"]}}
        mine = {**(own.get("metadata") or {}).get("labels", {}), **labels}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": self._owned(jobset, name, mine),
                "spec": {**own["spec"], "suspend": False, "template": template}}  # fmt: skip

    def _owned(self, jobset: Object, name: str, labels: dict[str, str]) -> dict[str, Any]:
        owner = {"apiVersion": VERSION, "kind": "JobSet", "name": jobset["metadata"]["name"],
                 "uid": jobset["metadata"]["uid"], "controller": True}  # fmt: skip
        return {"name": name, "namespace": self._namespace, "labels": labels, "ownerReferences": [owner]}


def admit(client: Client, namespace: str, name: str) -> None:
    """What Kueue does when there is room for all pods of a workload at once: it may begin."""
    jobset = client.get(VERSION, "JobSet", name, namespace)
    assert jobset is not None and jobset["spec"]["suspend"] is True, jobset
    client.patch(jobset, {"spec": {"suspend": False}})
