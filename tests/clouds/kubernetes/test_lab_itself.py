"""The Kubernetes for tests is one: it schedules, runs, forwards, refuses, and ends what it began."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from typing import Any

import pytest
from kubernetes_lab import Lab
from lab_client import Refused, from_kubeconfig


def job(name: str, namespace: str, script: str, **more: Any) -> dict[str, Any]:
    """A Job whose pods run a shell script."""
    container = {"name": "main", "image": "debian:12", "command": ["/bin/sh", "-c", script], **more.pop("main", {})}
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        **more.pop("pod", {}),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}, **more},
    }


DIAL = "socket.create_connection(('127.0.0.1', 8080), 1)"
GPUS = {"resources": {"limits": {"nvidia.com/gpu": 8, "rdma/ib": 1}}}
TOLERATED = {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}
ALONE = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"job-name": "gpus"}}}
        ]
    }
}


def test_a_job_with_gpus_is_scheduled_runs_and_completes(lab: Lab) -> None:
    space = lab.namespace()
    wanted = job("gpus", space, "hostname; sleep 0.2", main=GPUS, pod={**TOLERATED, "affinity": ALONE}, parallelism=2)
    wanted["spec"]["completions"] = 2
    lab.client.apply(wanted)

    def complete() -> bool:
        made = lab.client.get("batch/v1", "Job", "gpus", space) or {}
        return any(each["type"] == "Complete" for each in made.get("status", {}).get("conditions", []))

    lab.client.wait(complete)
    assert {pod["spec"]["nodeName"] for pod in lab.pods(space)} == {"h100-1", "h100-2"}


def test_a_pod_is_reached_through_the_api_server_alone(lab: Lab) -> None:
    space = lab.namespace()
    script = (
        'echo "I am $WHO at $(cat /etc/note/text)"; cd /etc/note; exec python3 -m http.server 8080 --bind 127.0.0.1'
    )
    main = {
        "env": [{"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "volumeMounts": [{"name": "note", "mountPath": "/etc/note"}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    note = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note", "namespace": space}}
    lab.client.apply({**note, "data": {"text": "home"}})
    volumes = [{"name": "note", "configMap": {"name": "note"}}]
    lab.client.apply(job("web", space, script, main=main, pod={"volumes": volumes}))
    (pod,) = lab.wait_running(space, 1)
    name = pod["metadata"]["name"]
    assert f"I am {name} at home" in lab.logs(space, name)
    assert lab.client.execute(pod, "sh", "-c", "echo in; exit 3") == (3, "in\n")
    assert lab.client.ask_port(pod, 8080, b"GET /text HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nhome")
    lab.lose(pod)
    lab.client.wait(lambda: (lab.client.get("v1", "Pod", name, space) or {})["status"]["phase"] == "Failed")


def test_unknown_fields_and_missing_rights_are_refused(lab: Lab) -> None:
    space = lab.namespace()
    wrong = job("wrong", space, "true")
    wrong["spec"]["template"]["spec"]["nodeSelectr"] = {}
    with pytest.raises(Refused, match="nodeSelectr"):
        lab.client.apply(wrong)
    few = lab.user("few", space, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])
    bob = from_kubeconfig(few.read_text())
    assert bob.all("v1", "Pod") == []
    with pytest.raises(Refused, match="forbidden"):
        bob.all("v1", "Secret")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="not on this machine: kubectl")
def test_kubectl_gets_along_with_it(lab: Lab) -> None:
    """It speaks SPDY, and newer versions other WebSockets."""
    space = lab.namespace()
    lab.client.apply(job("web", space, "cd /etc; echo up; exec python3 -m http.server 8080 --bind 127.0.0.1"))
    (pod,) = lab.wait_running(space, 1)
    name = pod["metadata"]["name"]
    lab.client.wait(lambda: lab.client.execute(pod, "python3", "-c", f"import socket; {DIAL}")[0] == 0)
    kubectl = ["kubectl", "--kubeconfig", str(lab.kubeconfig), "-n", space]
    inside = subprocess.run([*kubectl, "exec", "-i", name, "--", "cat"], input="in", capture_output=True, text=True)
    assert (inside.returncode, inside.stdout) == (0, "in")
    forward = subprocess.Popen([*kubectl, "port-forward", name, ":8080"], stdout=subprocess.PIPE, text=True)
    try:
        assert forward.stdout is not None
        port = forward.stdout.readline().split("127.0.0.1:")[1].split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/hostname", timeout=20) as got:
            assert got.read() == f"{name}\n".encode()
    finally:
        forward.terminate()
        forward.wait(10)
