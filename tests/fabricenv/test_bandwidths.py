"""What is expected of nodes of a type, as facts."""

from __future__ import annotations

import pytest

from skyrig.catalog import bandwidths, facts, instances

WITH = [cloud for cloud in facts.clouds() if facts.of(cloud, "bandwidth")]


@pytest.mark.parametrize("cloud", WITH)
def test_every_fact_is_about_a_type_that_is_there_and_has_its_source(cloud: str) -> None:
    said, types = facts.of(cloud, "bandwidth"), instances.of_cloud(cloud)
    named = {name for row in said["figures"] for name in row["types"]} | set(said["nvlinks"]) | set(said.get("ib", {}))
    assert named - set(types) == set()
    for row in said["figures"]:
        assert row["test"] in bandwidths.TESTS and row["source"] and row["busbw"] > 0 and row["size"] >= 1 << 28
        assert 0 <= row["tolerance"] < 1 and row["nodes"] >= 1
    assert said["made"] and said["sources"]
    known = {fact for kind in types.values() for fact in kind.facts}
    assert set(said["devices"].values()) <= known


@pytest.mark.parametrize(
    ("cloud", "name", "nodes", "test", "size", "least"),
    [
        ("aws", "p5.48xlarge", 2, "all_reduce", None, 437.8 * 0.8),
        ("aws", "p5.48xlarge", 16, "all_reduce", None, 437.8 * 0.8),
        ("aws", "p5.48xlarge", 2, "all_reduce", 1 << 30, 313.3 * 0.8),
        ("aws", "p5.48xlarge", 2, "all_reduce", 1 << 28, None),
        ("aws", "p5.48xlarge", 2, "all_gather", None, None),
        ("aws", "p5.48xlarge", 1, "all_reduce", None, None),
        ("aws", "p4d.24xlarge", 1, "all_reduce", 1 << 30, 200.0),
        ("aws", "g6.xlarge", 2, "all_reduce", None, None),
        ("azure", "Standard_ND96isr_H100_v5", 1, "all_reduce", None, 460.0),
        ("gcp", "a3-megagpu-8g", 2, "all_gather", None, 188.7 * 0.8),
        ("nebius", "gpu-h100-sxm_8gpu-128vcpu-1600gb", 2, "all_reduce", None, 467.5 * 0.8),
        ("oci", "BM.GPU.H100.8", 2, "all_reduce", None, None),
        ("ssh", "whatever", 2, "all_reduce", None, None),
    ],
)
def test_the_figure_that_fits_is_taken(
    cloud: str, name: str, nodes: int, test: str, size: int | None, least: float | None
) -> None:
    found = bandwidths.expected(cloud, name, nodes, test, size)
    assert (found.least_gbs if found else None) == (pytest.approx(least) if least else None)
    if found:
        assert found.of_bytes().rate == pytest.approx(found.busbw_gbs * 1e9)


@pytest.mark.parametrize(
    ("cloud", "name", "fabric", "counts"),
    [
        ("aws", "p5.48xlarge", True, (8, 0, 0, 32, 18)),
        ("aws", "p5.48xlarge", False, (8, 0, 0, 0, 18)),
        ("aws", "g6.xlarge", True, (1, 0, 0, 0, 0)),
        ("azure", "Standard_ND96isr_H100_v5", True, (8, 0, 8, 0, 18)),
        ("gcp", "a3-highgpu-8g", True, (8, 5, 0, 0, 18)),
        ("gcp", "a3-ultragpu-8g", True, (8, 10, 8, 0, 18)),
        ("oci", "BM.GPU.H100.8", True, (8, 0, 16, 0, 18)),
        ("runpod", "1x_L40_SECURE", True, (1, 0, 0, 0, 0)),
    ],
)
def test_a_node_shall_have_what_its_type_has(
    cloud: str, name: str, fabric: bool, counts: tuple[int, int, int, int, int]
) -> None:
    wanted = bandwidths.shall_have(instances.find(cloud, name), fabric=fabric)
    assert (wanted.count, wanted.nics, wanted.ib, wanted.efa, wanted.nvlinks) == counts


@pytest.mark.parametrize(
    ("cloud", "name", "figure"),
    [
        ("azure", "Standard_ND96isr_H100_v5", 460.0),  # 16 GiB
        ("azure", "Standard_ND96asr_v4", 228.0),  # 8 GiB: its accelerators have half the memory
        ("aws", "p4d.24xlarge", 200.0),
        ("aws", "p6-b200.48xlarge", None),
    ],
)
def test_one_node_is_measured_with_what_its_memory_takes(cloud: str, name: str, figure: float | None) -> None:
    kind = instances.find(cloud, name)
    found = bandwidths.expected(cloud, name, 1, size=bandwidths.largest(kind))
    assert (found.busbw_gbs if found else None) == figure
    assert found is None or 3 * found.size < kind.accelerator_memory_gib * (1 << 30)
