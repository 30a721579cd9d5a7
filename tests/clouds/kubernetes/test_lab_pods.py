"""A cluster of pods with accelerators on a real API server: what it asks for, that it works, what it leaves."""

from __future__ import annotations

import os
from pathlib import Path

import lab_plugin
import pytest
import yaml
from kubernetes_lab import Lab
from user import BIN, User, end_nodes

from skyrig.clouds.kubernetes.names import CLUSTER, cluster_name

pytestmark = pytest.mark.e2e

TASK = {
    "num_nodes": 1,
    "resources": {"infra": "k8s/team", "accelerators": "H100:8", "network_tier": "best", "cpus": "2"},
    "run": 'echo "fabric $NCCL_IB_HCA in $OWN"\\n',
    "config": {"kubernetes": {"pod_config": {"spec": {"containers": [{"env": [{"name": "OWN", "value": "pod"}]}]}}}},
}


@pytest.fixture
def user(lab: Lab, tmp_path: Path) -> User:
    """Somebody whose kubeconfig leads to the lab."""
    made = User(tmp_path, f"p{os.getpid()}")
    path = f"{lab_plugin.put(tmp_path / 'bin')}:{BIN}:{os.environ['PATH']}"
    made.env |= {"KUBECONFIG": str(lab.kubeconfig), "SKYRIG_KUBE_CONTEXTS": "team", "PATH": path}
    return made


@pytest.mark.soak
def test_a_node_with_accelerators_on_its_fabric(lab: Lab, user: User) -> None:
    label = f"{CLUSTER}={cluster_name(user.stack)}"
    (user.clone / "t.yaml").write_text(yaml.safe_dump(TASK))
    try:
        done = user.run("launch", "t.yaml", "-c", user.stack, "-y", timeout=200)
        assert b"fabric ibp in pod" in done.out, done.told()
        [pod] = lab.pods("team", label)
        [limits] = [each["resources"]["limits"] for each in pod["spec"]["containers"]]
        assert limits == {"nvidia.com/gpu": "8", "rdma/ib": "1"} and pod["spec"]["nodeName"].startswith("h100-")
        assert "automountServiceAccountToken" in pod["spec"] and pod["spec"]["serviceAccountName"] != "default"
    finally:
        user.run("down", "-c", user.stack, "-y", check=None)
        end_nodes(user.home)
    assert not lab.pods("team", label) and not lab.client.all("v1", "Secret", "team", label)
