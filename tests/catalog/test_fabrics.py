"""What is said of the network between nodes before anything is made."""

from __future__ import annotations

import pytest

from skyrig.catalog import fabrics, instances


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
