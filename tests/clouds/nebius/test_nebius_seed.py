"""The task files of SkyPilot's page on InfiniBand at Nebius, as they stand in tests/compat/seeds (`infra: nebius` and
`infra: k8s`). That for VMs is planned here, without the engine's plugin.

What it demands: docs.nebius.com/compute/clusters/gpu (VMs of 8 GPUs join a GPU cluster on a fabric of their
region), and the variables of sky/provision/nebius/constants.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nebius_cloud import NebiusCloud
from user import ROOT, User

from skyrig.catalog import fabrics, instances

SEEDS = ROOT / "tests" / "compat" / "seeds"
VM, KUBERNETES = SEEDS / "seed002_02.yaml", SEEDS / "seed002_01.yaml"


@pytest.fixture
def person(tmp_path: Path, cloud: NebiusCloud) -> Iterator[User]:
    """Somebody with a project on Nebius, and no plugin of the engine for it."""
    user = User(tmp_path, "ib")
    user.env |= {**cloud.env, "HOME": str(tmp_path), "SKYRIG_SSH_FROM": "203.0.113.7/32"}
    yield user


def test_the_task_for_vms_plans_two_h100_machines_in_one_gpu_cluster(person: User) -> None:
    plan: dict[str, Any] = person.json("plan", str(VM), "-c", person.stack)
    offer = plan["offer"]
    kind = "gpu-h100-sxm_8gpu-128vcpu-1600gb"
    assert (offer["cloud"], offer["region"], offer["num_nodes"]) == ("nebius", "eu-north1", 2)
    assert offer["instance_type"] == kind and offer["accelerators"] == {"H100": 8}
    assert plan["changes"]["source"] == "offline", "no plugin was needed"
    made = [each["type"].rpartition(":")[2] for each in plan["changes"]["resources"]]
    assert made.count("ComputeV1Instance") == 2 and made.count("ComputeV1GpuCluster") == 1
    env = fabrics.of(instances.find("nebius", kind), "best").env
    assert env == {
        "NCCL_IB_HCA": "mlx5",
        "UCX_NET_DEVICES": ",".join(f"mlx5_{number}:1" for number in range(8)),
        "NCCL_SOCKET_IFNAME": "eth0",
        "SHARP_COLL_ENABLE_PCI_RELAXED_ORDERING": "1",
        "NCCL_COLLNET_ENABLE": "0",
    }


def test_the_seed_files_are_those_of_the_page() -> None:
    for file, infra in ((VM, "nebius"), (KUBERNETES, "k8s")):
        text = file.read_text()
        assert f"infra: {infra}" in text and "network_tier: best" in text and "H100:8" in text
