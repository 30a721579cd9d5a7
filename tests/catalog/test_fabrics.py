"""What is said of the network between nodes before anything is made."""

from __future__ import annotations

import pytest

from skyrig import renting
from skyrig.catalog import fabrics, instances
from skyrig.catalog.offers import Offer
from skyrig.cluster.shape import Shape
from skyrig.task import reading


@pytest.mark.parametrize(
    ("cloud", "name", "tier", "nodes", "said"),
    [
        ("aws", "g6.xlarge", "best", 1, "g6.xlarge has no fabric"),
        ("gcp", "g2-standard-8", "best", 2, "g2-standard-8 has no fabric"),
        ("azure", "Standard_NC24ads_A100_v4", "best", 2, "has no fabric"),
        ("aws", "p5.48xlarge", "standard", 2, "p5.48xlarge has a fabric (efa) that is not used"),
        ("aws", "p5.48xlarge", "standard", 1, ""),
        ("aws", "p5.48xlarge", "best", 2, ""),
        ("aws", "g6.xlarge", "standard", 2, ""),
    ],
)
def test_a_surprise_is_told(cloud: str, name: str, tier: str, nodes: int, said: str) -> None:
    told = fabrics.remark(instances.find(cloud, name), tier, nodes)
    assert said in told and bool(said) == bool(told)


@pytest.mark.parametrize(
    ("cloud", "name", "more", "tier"),
    [
        ("gcp", "a3-highgpu-8g", "num_nodes: 2", "best"),
        ("gcp", "a3-highgpu-8g", "num_nodes: 1", "standard"),
        ("gcp", "g2-standard-8", "num_nodes: 2", "standard"),
        ("gcp", "a3-highgpu-8g", "num_nodes: 2\nresources: {network_tier: standard}", "standard"),
        ("aws", "p5.48xlarge", "num_nodes: 2", "standard"),
    ],
)
def test_skypilots_key_for_gpudirect_is_the_best_tier(cloud: str, name: str, more: str, tier: str) -> None:
    task = reading.loads(f"config: {{gcp: {{enable_gpu_direct: true}}}}\n{more}", "text").only()
    offer = Offer(instances.find(cloud, name), "us-central1", "", False, 1.0, task.choice.each[0])
    assert renting.shape_of(Shape(), offer, task).machine.network_tier == tier
