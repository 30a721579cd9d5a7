"""What is asked of a cluster beside the engine, on a real API server: rights, machines, what has no stack any more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import lab_plugin
import pytest
from kubernetes_lab import Lab
from user import BIN, User, end_nodes

from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import Wanted
from skyrig.clouds.kubernetes.names import CLUSTER, cluster_name

pytestmark = pytest.mark.e2e

FEW = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
LONG_S = 300.0


def test_check_tells_rights_and_machines(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(lab.kubeconfig))
    found = {each.what: each for each in clouds.of("kubernetes").check("team", Wanted("8CPU--32GB--H100:8", 2))}
    assert found["API"].ok and "v1.36" in found["API"].said and "namespace team" in found["API"].said
    assert found["create jobs"].ok and found["create pods/portforward"].ok
    assert "16 H100 free" in found["nodes"].said and found["fabric"].ok
    assert found["8CPU--32GB--H100:8"].said == "nodes with room for one now: 2"

    space = lab.namespace()
    monkeypatch.setenv("KUBECONFIG", str(lab.user("ann", space, FEW)))
    few = {each.what: each for each in clouds.of("kubernetes").check("ann", None)}
    assert (
        few["list pods"].ok
        and few["create jobs"].ok is False
        and "docs/clouds/kubernetes.md" in few["create jobs"].said
    )
    assert few["nodes"].ok is None and "may not be seen" in few["nodes"].said


@pytest.mark.soak
def test_what_has_no_stack_any_more_is_found_and_removed(lab: Lab, tmp_path: Path) -> None:
    user = User(tmp_path, f"lost{os.getpid()}")
    path = f"{lab_plugin.put(tmp_path / 'bin')}:{BIN}:{os.environ['PATH']}"
    user.env |= {"KUBECONFIG": str(lab.kubeconfig), "SKYRIG_KUBE_CONTEXTS": "team", "PATH": path}
    label = f"{CLUSTER}={cluster_name(user.stack)}"
    try:
        user.run("up", "-c", user.stack, "--infra", "k8s/team", "--cpus", "1", "--nodes", "2", "-y", timeout=LONG_S)
        assert len(lab.pods("team", label)) == 2
        end_nodes(user.home)
        shutil.rmtree(user.home)
        user.run("down", "--by-tag", "-c", user.stack, "--infra", "k8s/team", "-y", timeout=LONG_S)
        for version, kind in (("v1", "Pod"), ("v1", "Secret"), ("v1", "Service"), ("batch/v1", "Job")):
            lab.client.wait(lambda v=version, k=kind: not lab.client.all(v, k, "team", label), 60, f"no {kind} is left")
    finally:
        for job in lab.client.all("batch/v1", "Job", "team", label):
            lab.client.delete(job, now=True)
