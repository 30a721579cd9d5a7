"""What RunPod is asked, against its published description; and how a pod ends itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_mock import Fault
from attrs import evolve
from runpod_mock import CENTER, KEY, KIND, NO_ROOM, OTHER, RunpodMock, problem

from components.boot import BootArgs, programs_of
from components.keypair import new_key_pair
from components.runpod.boot import script
from skyrig.catalog import refusals
from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import NotUsable, Wanted
from skyrig.clouds.machines_api import making
from skyrig.clouds.machines_api.asking import ApiError
from skyrig.clouds.machines_api.machine import HOST, NODE, OWNER, STACK, Order, connect
from skyrig.clouds.runpod.api import country, gpu_of
from skyrig.errors import BadInput, SkyrigError

TAGS = {STACK: "dev", OWNER: "ada", NODE: "n0", HOST: "aa"}
PRIVATE, PUBLIC = new_key_pair()
BOOT: BootArgs = {
    "cloud": "runpod",
    "host": "",
    "host_private_key": PRIVATE,
    "host_public_key": PUBLIC,
    "client_key": "ssh-ed25519 AAAA ada's",
    "fabric": "none",
    "accelerator": "L40",
    "container": "",
    "ends_at": 1,
}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RunpodMock]:
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path))
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    with RunpodMock() as mock:
        for name, value in mock.env.items():
            monkeypatch.setenv(name, value)
        yield mock
        assert mock.wrong == []


@pytest.fixture
def order() -> Order:
    return Order("skyrig-dev-n0", KIND, "US", CENTER, "an/image:1", 100, told=script(BOOT), tags=TAGS)


def test_one_name_is_one_pod_also_where_the_answer_is_lost(lab: RunpodMock, order: Order) -> None:
    lab.faults = [Fault("createPod", 502, problem(502, "Bad Gateway", "upstream"), after=True)]
    made = making.ensured(connect("runpod"), order)
    assert making.ensured(connect("runpod"), order).id == made.id and list(lab.pods) == [made.id]
    [body] = [call.body for call in lab.calls if call.operation == "createPod"]
    assert body["gpu"] == {"id": "NVIDIA L40", "count": 1} and body["cloud"] == "SECURE" and body["ports"] == ["22/tcp"]
    assert body["mounts"] == {"persistent": {"size": 100, "path": "/root"}} and body["dataCenterIds"] == [CENTER]
    assert "PRIVATE KEY" not in str(body)  # it is there, packed


def test_it_stops_keeps_its_volume_and_starts_at_another_port(lab: RunpodMock, order: Order) -> None:
    rents = connect("runpod")
    ids = {"n0": making.ensured(rents, order).id}
    up = making.reached(rents, ids)["n0"]
    assert (up.public, up.private, up.region, up.kind) == ("127.0.0.1", "127.0.0.1", "US", KIND) and up.tags == TAGS
    assert making.switched(rents, ids, up=False)["n0"].state == "stopped"
    assert making.switched(rents, ids, up=False)["n0"].state == "stopped"
    again = making.switched(rents, ids, up=True)["n0"]
    assert again.id == up.id and again.port != up.port and again.boot != up.boot
    lab.pods[up.id]["status"] = "ERROR"
    with pytest.raises(SkyrigError, match=r"n0: machine .* does not come up: it is ERROR"):
        making.reached(rents, ids)
    making.ended(rents, up.id)
    making.ended(rents, up.id)
    assert not lab.pods


def test_refusals_say_what_they_are(lab: RunpodMock, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.rooms[CENTER] = "NONE"
    with pytest.raises(ApiError, match=NO_ROOM) as full:
        making.ensured(connect("runpod"), order)
    assert refusals.kind("runpod", full.value.message) == "capacity"
    lab.rooms[CENTER] = "LOW"
    for status, kind in ((402, "quota"), (403, "permission")):
        lab.faults = [Fault("createPod", status, problem(status, "No", "not with this account"))]
        with pytest.raises(ApiError) as refused:
            making.ensured(connect("runpod"), order)
        assert refusals.kind("runpod", refused.value.message) == kind
    lab.faults = [Fault("createPod", 429, problem(429, "Too Many", "slow down"), headers={"Retry-After": "1"})]
    assert making.ensured(connect("runpod"), order).state == "starting" and lab.count("createPod") == 5
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_wrong")
    with pytest.raises(NotUsable, match="invalid bearer token"):
        connect("runpod").machines()


def test_the_cloud_is_checked_and_swept(lab: RunpodMock, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = clouds.of("runpod")
    assert cloud.account("US") == "user_1" and list(cloud.zones("US", KIND)) == [CENTER]
    assert list(cloud.zones("RO", KIND)) == ["EU-RO-1"] and list(cloud.zones("CA", KIND)) == []
    assert [each.ok for each in cloud.check("US", Wanted(KIND))] == [True, True]
    assert [each.ok for each in cloud.check("CA", Wanted(KIND))] == [True, None]
    assert [each.ok for each in cloud.check("US", Wanted("1x_XPU_SECURE"))] == [True, False]
    making.reached(connect("runpod"), {"n0": making.ensured(connect("runpod"), evolve(order)).id})
    [seen] = cloud.tagged(None).stacks
    assert (seen.stack, seen.region, seen.hourly, seen.account, seen.owner) == ("dev", "US", 0.79, "user_1", "ada")
    assert cloud.find("pulumi-python:dynamic/skyrig:RunpodPod", {"name": order.name}, "US") in lab.pods
    left = cloud.leftovers("dev", "US")
    assert [each.kind for each in left] == ["machine"] and left[0].since
    cloud.remove("dev", "US", left)
    assert list(cloud.leftovers("dev", "US")) == []
    monkeypatch.setenv("RUNPOD_API_KEY", OTHER)
    assert cloud.account("US") == "user_2"
    lab.faults = [Fault("graphql", 403, {"message": "no"}, times=2)]
    assert cloud.account("").startswith("key-") and OTHER not in cloud.account("")


def test_names_of_places_and_gpus() -> None:
    named = {"US-TX-3": "US", "EU-RO-1": "RO", "EUR-IS-2": "IS", "CA-MTL-1": "CA", "OC-AU-1": "AU", "US-DE-1": "US"}
    assert {center: country(center) for center in named} == named
    assert gpu_of("8x_H100-80GB-HBM3_COMMUNITY") == ("NVIDIA H100 80GB HBM3", 8, "COMMUNITY")
    with pytest.raises(BadInput, match="not known"):
        gpu_of("gpu_1x_a10")


def test_what_a_pod_runs_first_is_shell_and_its_programs_are_python() -> None:
    text = script(BOOT)
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    assert "expire" in text and "AllowUsers=root" in text and PRIVATE.splitlines()[1] in text
    for program in ("end", "stop"):
        compile(programs_of(BOOT)[program], program, "exec")


def test_a_pod_stops_and_ends_itself_with_its_own_key(lab: RunpodMock, order: Order, tmp_path: Path) -> None:
    made = making.reached(connect("runpod"), {"n0": making.ensured(connect("runpod"), order).id})["n0"]
    (tmp_path / "environ").write_text(f"RUNPOD_POD_ID={made.id}\0RUNPOD_API_KEY=rpa_of_the_pod\0")
    env = {**os.environ, "SKYRIG_POD": str(tmp_path / "environ"), "SKYRIG_PATIENCE_S": "0"}
    env["SKYRIG_RUNPOD"] = f"{lab.url}/api.runpod.io"

    def run(program: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", programs_of(BOOT)[program]]
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    refused = run("end")
    assert refused.returncode == 1 and "cannot end itself: HTTP 401" in refused.stderr and lab.pods
    lab.keys.add("rpa_of_the_pod")
    assert run("stop").returncode == 0 and lab.pods[made.id]["status"] == "EXITED"
    assert run("end").returncode == 0 and not lab.pods
