"""The price table and the files of types say the same of every type with accelerators."""

from __future__ import annotations

import pytest

from skyrig.catalog import facts, instances, prices

APART = {
    "Standard_ND96amsr_A100_v4": "memory: 1900 GiB by Microsoft's page of the series, 1800 in the prices",
    "Standard_ND128isr_NDR_GB200_v6": "memory: 900 GiB by Microsoft's page of the series, 864 in the prices",
}
"""Types of which the two sources say different things, and which; all else of them agrees."""

WITHOUT_A_TYPE = {
    "a2-highgpu-2g": "priced, and not in the facts",
    "a2-highgpu-4g": "priced, and not in the facts",
    "tpu-v5e (per chip)": "a chip is no machine",
    "tpu-v5p (per chip)": "a chip is no machine",
    "tpu-v6e (per chip)": "a chip is no machine",
}
"""Rows with accelerators that no file of types has."""

ROWS = {
    (row.cloud, row.instance_type): row for cloud in facts.clouds() for row in prices.rows(cloud) if row.accelerator
}


@pytest.mark.parametrize(("cloud", "name"), sorted(ROWS))
def test_a_priced_accelerator_is_the_one_of_its_type(cloud: str, name: str) -> None:
    row, said = ROWS[cloud, name], facts.of(cloud, "types")["types"].get(name)
    assert (said is None) == (name in WITHOUT_A_TYPE)
    if said is None:
        return
    assert said["accelerator"] == row.accelerator
    assert said.get("accelerator_count", 0) == row.accelerator_count
    assert said["cpus"] == row.cpus
    assert (said.get("memory_gib", 0) != row.memory_gib) == (name in APART)


@pytest.mark.parametrize("cloud", facts.clouds())
def test_all_rows_of_a_type_describe_it_alike(cloud: str) -> None:
    told: dict[str, set[object]] = {}
    for row in prices.rows(cloud):
        had = (row.accelerator, row.accelerator_count, row.cpus, row.memory_gib)
        told.setdefault(row.instance_type, set()).add(had)
    assert [name for name, each in told.items() if len(each) > 1] == []


@pytest.mark.parametrize("cloud", facts.clouds())
def test_every_type_with_accelerators_says_what_it_has_and_where_that_is_from(cloud: str) -> None:
    for name, said in facts.of(cloud, "types").get("types", {}).items():
        kind = instances.find(cloud, name)
        assert kind.source and kind.accelerator and kind.fabric, name
        assert kind.fabric == "none" or kind.fabric == "tpu-ici" or kind.accelerator_count >= 1, name
        assert set(said) <= {*kind._fields, "local_disks_note"}, name


def test_every_fabric_has_its_environment() -> None:
    kinds = {
        (cloud, each["fabric"])
        for cloud in facts.clouds()
        for each in facts.of(cloud, "types").get("types", {}).values()
    }
    for cloud, fabric in kinds:
        assert fabric in ("none", "tpu-ici") or "env" in facts.of(cloud, "fabric")[fabric], (cloud, fabric)
    assert {fabric for cloud, fabric in kinds if cloud in ("lambda", "runpod", "fluidstack")} == {"none"}
