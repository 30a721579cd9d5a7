"""The two task files for Kubernetes of SkyPilot's page on networks (tests/compat/seeds), planned against an API server
whose nodes are as those pages want them, and rendered.

What they demand: InfiniBand on Nebius' managed clusters, pods with IPC_LOCK and the variables of SkyPilot's example
(examples/nebius_infiniband); on EKS `vpc.amazonaws.com/efa` of each pod as often as `pod_config` says, although the
page writes `limits` and `requests` beside `resources` (examples/aws_efa).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab_plugin
import lab_programs
import pytest
from kubernetes_lab import Lab
from lab_nodes import CPU, EFA, H100
from user import BIN, ROOT, User

from skyrig.clouds.kubernetes import podspec

SEEDS = ROOT / "tests" / "compat" / "seeds"
INFINIBAND, POD_CONFIG = SEEDS / "seed002_01.yaml", SEEDS / "seed002_03.yaml"

pytestmark = pytest.mark.e2e


def lab_of(folder: Path, *nodes: Any) -> Iterator[Lab]:
    if lacking := lab_programs.missing():
        pytest.skip(lacking)
    with Lab(folder, [CPU, *nodes]) as up:
        yield up


@pytest.fixture
def infiniband(tmp_path: Path) -> Iterator[Lab]:
    """A cluster of two machines with InfiniBand."""
    yield from lab_of(tmp_path / "lab", H100.named("h100-1"), H100.named("h100-2"))


@pytest.fixture
def efa(tmp_path: Path) -> Iterator[Lab]:
    """A cluster on EKS with two p5.48xlarge."""
    yield from lab_of(tmp_path / "lab", EFA.named("efa-1"), EFA.named("efa-2"))


def person(lab: Lab, folder: Path) -> User:
    made = User(folder, f"s{os.getpid()}")
    path = f"{lab_plugin.put(folder / 'bin')}:{BIN}:{os.environ['PATH']}"
    made.env |= {"KUBECONFIG": str(lab.kubeconfig), "SKYRIG_KUBE_CONTEXTS": "team", "PATH": path}
    return made


def planned(user: User, file: Path) -> tuple[dict[str, Any], str]:
    """The plan for a task file, and the scripts of rank 1 in one text."""
    plan: dict[str, Any] = user.json("plan", str(file), "-c", user.stack, "--infra", "k8s/team")
    scripts = [Path(each) for each in plan["scripts"] if "rank-1" in each]
    return plan, "".join(each.read_text() for each in scripts)


@pytest.mark.soak
def test_infiniband(infiniband: Lab, tmp_path: Path) -> None:
    plan, scripts = planned(person(infiniband, tmp_path), INFINIBAND)
    offer = plan["offer"]
    assert (offer["cloud"], offer["region"], offer["num_nodes"]) == ("kubernetes", "team", 2)
    assert offer["accelerators"] == {"H100": 8} and plan["cost"]["hourly"] == 0
    jobs = [each for each in plan["changes"]["resources"] if each["type"] == "kubernetes:batch/v1:Job"]
    assert len(jobs) == 2
    assert plan["fabric"]["env"]["NCCL_IB_HCA"] == "ibp"
    assert all(f"{name}=" in scripts for name in plan["fabric"]["env"])
    assert not infiniband.pods("team")


def test_efa(efa: Lab, tmp_path: Path) -> None:
    user = person(efa, tmp_path)
    file = tmp_path / "efa.yaml"
    file.write_text("num_nodes: 2\nresources:\n  accelerators: H100:8\nrun: echo hi\n" + POD_CONFIG.read_text())
    saved = tmp_path / "efa.plan"
    user.run("plan", str(file), "-c", user.stack, "--infra", "k8s/team", "--save", str(saved))
    config = json.loads(saved.read_text())["shape"]
    asked = podspec.asked_of(config["podConfig"])
    size = podspec.size_of(config["instanceType"])
    pod = podspec.Pod(cluster="c", size=size, asked=asked, network_tier=config.get("networkTier", "standard"))
    [node] = podspec.template(pod)["spec"]["containers"]
    for what in ("limits", "requests"):
        asked_for = node["resources"][what]
        assert (asked_for["vpc.amazonaws.com/efa"], asked_for["nvidia.com/gpu"]) == (4, "8")
    assert not {"limits", "requests"} & set(node), "beside `resources` the API server refuses them"
