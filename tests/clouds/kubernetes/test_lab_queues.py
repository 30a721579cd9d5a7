"""JobSets and queues in the Kubernetes for tests: pods know each other by name, and start all or none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kubernetes_lab import Lab
from lab_client import Object, Refused
from lab_round import ended, is_true

from skyrig.schedulers.kubernetes import look
from skyrig.schedulers.kubernetes.api import Where


def quota(lab: Lab, space: str, gpus: int) -> None:
    """A queue `team` in a namespace that may give so many GPUs."""
    version = "kueue.x-k8s.io/v1beta1"
    flavor = {"apiVersion": version, "kind": "ResourceFlavor", "metadata": {"name": "h100"}, "spec": {}}
    given = [{"name": "nvidia.com/gpu", "nominalQuota": gpus}]
    groups = [{"coveredResources": ["nvidia.com/gpu"], "flavors": [{"name": "h100", "resources": given}]}]
    spec = {"namespaceSelector": {}, "resourceGroups": groups}
    whole = {"apiVersion": version, "kind": "ClusterQueue", "metadata": {"name": space}, "spec": spec}
    meta = {"name": "team", "namespace": space}
    local = {"apiVersion": version, "kind": "LocalQueue", "metadata": meta, "spec": {"clusterQueue": space}}
    for each in (flavor, whole, local):
        lab.client.apply(each)


def jobset(name: str, space: str, script: str, **more: Any) -> Object:
    """Two pods of eight GPUs each that run a script."""
    main = {"name": "main", "image": "i", "command": ["sh", "-c", script]}
    main["resources"] = {"limits": {"nvidia.com/gpu": 8}}
    tolerated = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    pods = {
        "containers": [main],
        "restartPolicy": "Never",
        "tolerations": tolerated,
        "terminationGracePeriodSeconds": 1,
    }
    job = {"spec": {"parallelism": 2, "completions": 2, "backoffLimit": 0, "template": {"spec": pods}}}
    meta = {"name": name, "namespace": space, "labels": {"kueue.x-k8s.io/queue-name": "team"}}
    spec = {"replicatedJobs": [{"name": "node", "replicas": 1, "template": job}], **more}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": meta, "spec": spec}


def test_jobsets_of_a_queue_start_all_or_none(lab: Lab) -> None:
    lab.install("jobset", "kueue")
    space = lab.namespace()
    quota(lab, space, 24)  # one and a half of them
    other = "$((1 - JOB_COMPLETION_INDEX))"
    script = (
        f"until getent hosts first-node-0-{other}.first; do sleep 0.1; done; until [ -e /tmp/over ]; do sleep 0.1; done"
    )
    lab.client.apply(jobset("first", space, script))
    running = lab.wait_running(space, 2, "jobset.sigs.k8s.io/jobset-name=first")
    assert {pod["spec"]["nodeName"] for pod in running} == {"h100-1", "h100-2"}
    lab.client.apply(jobset("second", space, "exit 3", failurePolicy={"maxRestarts": 1}))

    def waits() -> bool:
        loads = lab.client.all("kueue.x-k8s.io/v1beta1", "Workload", space)
        said = [each for load in loads for each in load.get("status", {}).get("conditions", [])]
        return any("insufficient unused quota" in each["message"] for each in said)

    lab.client.wait(waits)
    assert lab.pods(space, "jobset.sigs.k8s.io/jobset-name=second") == []
    for pod in running:
        name = pod["metadata"]["name"]
        lab.client.wait(lambda name=name: "first-node-0-" in lab.logs(space, name))
        assert lab.client.execute(pod, "touch", "/tmp/over") == (0, "")

    def found(name: str) -> Object:
        return lab.client.get("jobset.x-k8s.io/v1alpha2", "JobSet", name, space) or {}

    lab.client.wait(lambda: ended(found("first")) == "Completed", what="the first is complete")
    lab.client.wait(lambda: ended(found("second")) == "Failed", 30, "the second has failed")
    assert found("second")["status"]["restarts"] == 1 and not is_true(found("second"), "Suspended")


def test_queues_are_found_in_the_version_that_there_is(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.install("kueue")
    space = lab.namespace()
    monkeypatch.setenv("KUBECONFIG", str(lab.kubeconfig))
    assert asyncio.run(look.described(Where("lab", space), "q", "me@here"))["queues"] == []
    quota(lab, space, 8)
    assert asyncio.run(look.described(Where("lab", space), "q", "me@here"))["queues"] == ["team"]


def test_the_real_schemas_judge(lab: Lab) -> None:
    lab.install("jobset", "kueue")
    wrong = jobset("wrong", "default", "true", startupPolice={})
    with pytest.raises(Refused, match="startupPolice"):
        lab.client.apply(wrong)
