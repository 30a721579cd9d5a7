"""What Fluidstack is asked, against its published description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_mock import Fault
from fluidstack_mock import KEY, KIND, OTHERS, PROJECT, REGION, FluidstackMock

from skyrig.catalog import refusals
from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import NotUsable, Wanted
from skyrig.clouds.machines_api import making
from skyrig.clouds.machines_api.machine import HOST, NODE, OWNER, STACK, Order, connect
from skyrig.errors import SkyrigError

TAGS = {STACK: "dev", OWNER: "ada", NODE: "n0", HOST: "aa", "a/b": "x"}
ORDER = Order("skyrig-dev-n0", KIND, REGION, told="#cloud-config\n", tags=TAGS)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FluidstackMock]:
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path))
    with FluidstackMock() as mock:
        for name, value in mock.env.items():
            monkeypatch.setenv(name, value)
        yield mock
        assert mock.wrong == []


def test_one_name_is_one_machine_also_where_the_answer_is_lost(lab: FluidstackMock) -> None:
    rents = connect("fluidstack")
    lab.faults = [Fault("PostInstances", 500, {"message": "an error"}, after=True)]
    made = making.ensured(rents, ORDER)
    assert making.ensured(rents, ORDER).id == made.id and list(lab.instances) == [made.id]
    assert lab.instances[made.id]["tags"]["a-b"] == "x" and not lab.instances[made.id]["ephemeral"]
    ids = {"n0": made.id}
    up = making.reached(rents, ids)["n0"]
    assert making.switched(rents, ids, up=False)["n0"].state == "stopped"
    again = making.switched(rents, ids, up=True)["n0"]
    assert again.id == up.id and again.public != up.public
    making.ended(rents, made.id)
    making.ended(rents, made.id)
    assert not lab.instances


def test_what_is_out_of_stock_is_told_and_makes_way(lab: FluidstackMock) -> None:
    rents = connect("fluidstack")
    lab.stock = 0
    made = making.ensured(rents, ORDER)
    with pytest.raises(SkyrigError) as full:
        making.reached(rents, {"n0": made.id})
    assert refusals.kind("fluidstack", full.value.message) == "capacity"
    lab.stock = 1
    assert making.ensured(rents, ORDER).id != made.id and len(lab.instances) == 1


def test_the_cloud_is_checked_and_swept(lab: FluidstackMock, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = clouds.of("fluidstack")
    assert cloud.account(REGION) == PROJECT and list(cloud.zones(REGION, KIND)) == [""]
    assert list(cloud.zones(REGION, "H100_PCIE_80GB::1")) == list(cloud.zones("CANADA", KIND)) == []
    assert [each.ok for each in cloud.check(REGION, Wanted(KIND))] == [True, True]
    assert [each.ok for each in cloud.check(REGION, Wanted(KIND, 9))] == [True, None]
    assert [each.ok for each in cloud.check("CANADA", Wanted(KIND))] == [True, False]
    making.reached(connect("fluidstack"), {"n0": making.ensured(connect("fluidstack"), ORDER).id})
    [seen] = cloud.tagged(None).stacks
    assert (seen.stack, seen.region, seen.machines, seen.account) == ("dev", REGION, 1, PROJECT)
    assert list(clouds.of("fluidstack", OTHERS).leftovers("dev", REGION)) == []
    left = cloud.leftovers("dev", REGION)
    cloud.remove("dev", REGION, left)
    assert left and list(cloud.leftovers("dev", REGION)) == []
    monkeypatch.setenv("FLUIDSTACK_API_KEY", "fs_wrong")
    assert [each.ok for each in cloud.check(REGION, None)] == [False]
    monkeypatch.delenv("FLUIDSTACK_PROJECT_ID")
    with pytest.raises(NotUsable, match="FLUIDSTACK_PROJECT_ID"):
        connect("fluidstack")


def test_no_key_goes_to_a_region_that_is_not_fluidstacks(lab: FluidstackMock) -> None:
    lab.region_url = "https://elsewhere.example.com"
    with pytest.raises(SkyrigError, match="where no key is sent"):
        making.ensured(connect("fluidstack"), ORDER)
    assert KEY not in str(connect("fluidstack"))
