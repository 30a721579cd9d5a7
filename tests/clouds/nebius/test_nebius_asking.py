"""What is asked of Nebius beside the engine, over its SDK and gRPC, and how its machines are switched."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from nebius_cloud import PROJECT, REGION, TOKEN, NebiusCloud, Thing

from components.nebius.power import NebiusPowerProvider
from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import NotUsable, Wanted
from skyrig.clouds.nebius import session, switching
from skyrig.clouds.nebius.names import cluster_name, machine_name
from skyrig.errors import SkyrigError

STACK = "dev"
KIND = {"platform": "gpu-h100-sxm", "preset": "8gpu-128vcpu-1600gb"}
INSTANCE = "nebius:index/computeV1Instance:ComputeV1Instance"
POWER = NebiusPowerProvider()


def labels(**more: str) -> dict[str, str]:
    return {"skyrig-stack": STACK, "skyrig-owner": "ada", **more}


def machine(cloud: NebiusCloud, node: str, stack: str = STACK) -> Thing:
    said = {"skyrig-stack": stack, "skyrig-owner": "ada", "skyrig-node": node}
    nic = {"publicIpAddress": {}} if node == "n0" else {}
    name = machine_name(cluster_name(stack), node, 1)
    made = {"name": name, "parentId": PROJECT, "labels": said, "resources": KIND, "networkInterfaces": [nic]}
    return cloud.make("computeV1Instance", made)


def thing(cloud: NebiusCloud, module: str, what: str, parent: str = PROJECT, **more: Any) -> Thing:
    name = f"{cluster_name(STACK)}-{what}"
    return cloud.make(module, {"name": name, "parentId": parent, "labels": labels(), **more})


def test_machines_are_those_of_the_stack_page_by_page(cloud: NebiusCloud) -> None:
    made = [machine(cloud, f"n{number}") for number in range(5)]
    machine(cloud, "n0", "another")
    made[1].status = "STOPPED"
    made[2].status = "DELETING"
    seen = clouds.of("nebius").machines(STACK, REGION)
    assert {each.node_id: each.power for each in seen} == {"n0": "up", "n1": "stopped", "n3": "up", "n4": "up"}
    assert (seen[0].public, seen[0].private, seen[0].machine) == ("203.0.113.9", made[0].private, made[0].id)
    assert cloud.tokens == {f"Bearer {TOKEN}"}


def test_a_busy_api_is_asked_again_and_a_closed_one_is_told(cloud: NebiusCloud) -> None:
    cloud.busy = 2
    assert clouds.of("nebius").zones(REGION, "x") == ("",)
    assert clouds.of("nebius").zones("us-central1", "x") == ()
    cloud.denied = True
    with pytest.raises(NotUsable, match="who are you"):
        clouds.of("nebius").machines(STACK, REGION)


def test_what_is_left_is_told_and_removed_in_an_order_that_goes(cloud: NebiusCloud) -> None:
    machine(cloud, "n0")
    for module, what in (("vpcV1Network", "network"), ("vpcV1Subnet", "subnet"), ("vpcV1Allocation", "head")):
        thing(cloud, module, what)
    group = thing(cloud, "vpcV1SecurityGroup", "nodes")
    thing(cloud, "vpcV1SecurityRule", "nodes-inside", group.id)
    thing(cloud, "computeV1Disk", "n9-v1-boot", labels={})
    thing(cloud, "computeV1Disk", "n0-v1-boot", labels={}, managedBy="an instance")
    stuck = thing(cloud, "computeV1GpuCluster", "gpus")
    cloud.stuck = {stuck.id}
    asked = clouds.of("nebius")
    left = asked.leftovers(STACK, REGION)
    kinds = ["instance", "disk", "GPU cluster", "address", "security group", "subnet", "network"]
    assert [each.kind for each in left] == kinds
    assert left[0].hourly == 23.6 and left[0].owner == "ada" and left[0].since is not None
    asked.remove(STACK, REGION, left)
    assert [each.kind for each in asked.leftovers(STACK, REGION)] == ["GPU cluster"]
    rule = [call for call in cloud.calls if "inside" in call]
    assert rule and cloud.calls.index(rule[0]) < cloud.calls.index(f"delete {cluster_name(STACK)}-nodes")


def test_all_of_a_project_is_found_by_its_labels(cloud: NebiusCloud) -> None:
    machine(cloud, "n0")
    machine(cloud, "n0", "another")
    cloud.make("storageV1Bucket", {"name": "my-data", "parentId": PROJECT, "labels": {"skyrig-stack": "my-data"}})
    found = clouds.of("nebius").tagged(None)
    assert {each.stack: (each.machines, each.kept) for each in found.stacks} == {
        "dev": (1, ()), "another": (1, ()), "my-data": (0, ("nebius://my-data",)),
    }  # fmt: skip
    assert clouds.of("nebius").tagged("us-central1").stacks == ()


def test_what_was_being_made_is_found_by_its_name(cloud: NebiusCloud) -> None:
    made = machine(cloud, "n0")
    asked = clouds.of("nebius")
    assert asked.find(INSTANCE, made.inputs, REGION) == made.id
    assert asked.find(INSTANCE, {**made.inputs, "name": "dev-nothing"}, REGION) is None
    assert asked.find("pulumi-python:dynamic/skyrig:NebiusPower", {}, REGION) is None
    with pytest.raises(SkyrigError, match="labels are others"):
        asked.find(INSTANCE, {**made.inputs, "labels": {"skyrig-stack": "theirs"}}, REGION)
    with pytest.raises(SkyrigError, match="how to look"):
        asked.find("nebius:index/x:X", made.inputs, REGION)


def test_a_check_tells_the_region_of_the_project(cloud: NebiusCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = clouds.of("nebius")
    wanted = Wanted("gpu-h100-sxm_8gpu-128vcpu-1600gb", 2)
    found = {each.what: each.ok for each in asked.check(REGION, wanted)}
    assert found == {"credentials": True, "region": True, "Compute": True, "quota": None}
    [region] = [each for each in asked.check("us-central1", None) if each.what == "region"]
    assert not region.ok and f"--region {REGION}" in region.said
    monkeypatch.setenv("NEBIUS_PROJECT_ID", "project-e00wrong")
    [wrong] = clouds.of("nebius").check(REGION, None)
    assert not wrong.ok and "project-e00wrong was not found" in wrong.said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("credentials.json", "no json"),
        ("credentials.json", "{}"),
        ("credentials.json", "\xff"),
        ("config.yaml", "[1"),
        ("config.yaml", "- 1"),
        ("", "one\ntwo"),
    ],
)
def test_credentials_that_cannot_be_read_are_told(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEBIUS_IAM_TOKEN", "" if name else text)
    (tmp_path / ".nebius").mkdir()
    (tmp_path / ".nebius" / (name or "other")).write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("NEBIUS_PROJECT_ID", PROJECT)
    [found] = clouds.of("nebius").check(REGION, Wanted("gpu-h100-sxm_8gpu-128vcpu-1600gb"))
    assert found.ok is False and "the credentials cannot be read" in found.said and "one\n" not in found.said


def test_credentials_and_project_by_variables_and_files(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("~/.nebius").expanduser()
    assert session.missing() == "" and session.authentication() == {} and session.project() == ""
    monkeypatch.delenv("NEBIUS_IAM_TOKEN")
    assert "no credentials" in session.missing()
    home.mkdir()
    (home / "config.yaml").write_text("default: lab\nprofiles:\n  lab: {parent-id: project-e00mine}\n")
    assert session.authentication() == {"profile": {}} and session.project() == "project-e00mine"
    (home / "NEBIUS_PROJECT_ID.txt").write_text("project-e00file\n")
    (home / "credentials.json").write_text("{}")
    assert session.project() == "project-e00file"
    assert session.authentication() == {"service_account": {"credentials_file": str(home / "credentials.json")}}
    monkeypatch.setenv("NEBIUS_CREDENTIALS_FILE", "/no/such/file")
    assert "/no/such/file" in session.missing()


def props(machines: list[Thing], **changed: Any) -> dict[str, Any]:
    named = {f"n{number}": each.id for number, each in enumerate(machines)}
    return {"project": PROJECT, "machines": named, "power": "up", "starts": 0, "nodes": None, **changed}


def test_machines_are_switched_when_that_is_asked_for_and_at_no_other_time(cloud: NebiusCloud) -> None:
    made = [machine(cloud, "n0"), machine(cloud, "n1")]
    outs = POWER.create(props(made)).outs
    assert outs["nodes"]["n0"] == {
        "status": "RUNNING", "started": "", "public": "203.0.113.9", "private": made[0].private,
    }  # fmt: skip
    assert cloud.calls == []
    made[1].status = "STOPPED"  # it stopped itself
    outs = POWER.read("", outs).outs
    assert outs["nodes"]["n1"]["status"] == "STOPPED"
    assert not POWER.diff("", outs, props(made)).changes
    wanted = props(made, starts=1)
    assert POWER.diff("", outs, wanted).changes
    outs = POWER.update("", outs, wanted).outs
    assert cloud.calls == [f"start {made[1].inputs['name']}"] and outs["nodes"]["n1"]["started"]
    assert outs["nodes"]["n0"]["started"] == ""
    stopped = props(made, starts=1, power="stopped")
    outs = POWER.update("", outs, stopped).outs
    assert {each["status"] for each in outs["nodes"].values()} == {"STOPPED"}
    assert not POWER.diff("", outs, stopped).changes
    cloud.end(made[1].id)
    assert POWER.read("", outs).outs["nodes"]["n1"]["status"] == "GONE"


def test_a_machine_that_cannot_be_switched_is_named(cloud: NebiusCloud) -> None:
    made = machine(cloud, "n0")
    cloud.stuck = {made.id}
    started = time.monotonic()
    with pytest.raises(SkyrigError, match=f"stop failed: {made.id}: .*in use"):
        switching.switch(PROJECT, [made.id], "stop")
    assert time.monotonic() - started < 20, "what cannot be done is not tried again"
