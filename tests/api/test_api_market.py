"""Accelerators and clouds, as programs ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skyrig as sky
from skyrig.catalog import prices
from skyrig.errors import BadInput


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Somebody with credentials of AWS, and of no other cloud."""
    for name in ("GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CLOUDSDK_CONFIG", "AZURE_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    yield tmp_path


def listed(**wanted: Any) -> dict[str, list[sky.InstanceTypeInfo]]:
    """What a request for accelerators gives."""
    return sky.get(sky.list_accelerators(**wanted))


def test_accelerators_come_by_name_with_the_cheapest_first(home: Path) -> None:
    found = listed()
    assert {"H100", "L4", "A100-80GB", "MI300X"} <= set(found) and "tpu-v5e" not in found and "Trainium" not in found
    for name, infos in found.items():
        assert [info.price for info in infos] == sorted(info.price or 0 for info in infos)
        assert {info.accelerator_name for info in infos} == {name}
    p5 = next(info for info in found["H100"] if info.instance_type == "p5.48xlarge")
    rows = [row.on_demand for row in prices.rows("aws") if row.instance_type == "p5.48xlarge" and row.on_demand]
    assert (p5.cloud, p5.accelerator_count, p5.cpu_count, p5.device_memory) == ("AWS", 8, 192, 80)
    assert p5["price"] == min(rows)


def test_filters_are_those_of_skypilot(home: Path) -> None:
    found = listed(
        name_filter="^a100$", case_sensitive=False, quantity_filter=8, clouds=["aws", "GCP"], all_regions=True
    )
    assert set(found) == {"A100"}
    assert {(info.cloud, info.accelerator_count) for info in found["A100"]} == {("AWS", 8), ("GCP", 8)}
    assert len({info.region for info in found["A100"]}) > 2
    assert "tpu-v5e" in listed(gpus_only=False, name_filter="tpu", region_filter="us-central1")
    with pytest.raises(BadInput, match="no regular expression"):
        listed(name_filter="(")


def test_clouds_that_can_be_used_are_named_as_skypilot_names_them(home: Path) -> None:
    assert sky.get(sky.enabled_clouds()) == ["AWS"]
    with pytest.raises(BadInput, match="mars: no such cloud"):
        sky.get(sky.check(infra_list=("mars",)))
    assert sky.get(sky.check(infra_list=("gcp",))) == {"default": []}
