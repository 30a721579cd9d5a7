"""What Lambda is asked, against its published description: machines made once, bounded patience, refusals told."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_mock import Fault
from attrs import evolve
from lambda_mock import KEY, KIND, OTHER, LambdaMock, error

from skyrig.catalog import refusals
from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import NotUsable, Wanted
from skyrig.clouds.lambda_ import api
from skyrig.clouds.machines_api import making, names, pace
from skyrig.clouds.machines_api.asking import ApiError, Unclear, refusal
from skyrig.clouds.machines_api.machine import HOST, NODE, OWNER, STACK, Order, connect
from skyrig.errors import SkyrigError

NAME = names.machine_name(names.cluster_name("Dev 1", "ada"), "n0", 1)
TAGS = {STACK: "Dev 1", OWNER: "ada", NODE: "n0", HOST: "aa", "Team_A": "x"}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LambdaMock]:
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path))
    monkeypatch.setenv("LAMBDA_API_KEY", KEY)
    with LambdaMock() as mock:
        for name, value in mock.env.items():
            monkeypatch.setenv(name, value)
        yield mock
        assert mock.wrong == []


@pytest.fixture
def order(lab: LambdaMock) -> Order:
    making.kept(connect("lambda"), "k", "ssh-ed25519 AAAA mine")
    return Order(NAME, KIND, "us-east-1", key="k", told="#cloud-config\n", tags=TAGS)


def test_one_name_is_one_machine_also_where_the_answer_is_lost(lab: LambdaMock, order: Order) -> None:
    lab.faults = [Fault("launchInstance", 500, error("global/internal-error", "an error"), after=True)]
    made = making.ensured(connect("lambda"), order)
    assert making.ensured(connect("lambda"), order).id == made.id and len(lab.instances) == 1
    lab.faults = [Fault("launchInstance", 0, after=True)]  # the connection is cut once the work is done
    second = making.ensured(connect("lambda"), evolve(order, name=f"{NAME}x"))
    assert len(lab.instances) == 2 and second.id != made.id


def test_a_failure_that_made_nothing_is_told_and_tried_again_by_whoever_runs_it_again(
    lab: LambdaMock, order: Order
) -> None:
    lab.faults = [Fault("launchInstance", 500, error("global/internal-error", "an error"))]
    with pytest.raises(SkyrigError, match=r"HTTP 500: global/internal-error an error; no machine .* is there"):
        making.ensured(connect("lambda"), order)
    assert making.ensured(connect("lambda"), order).state == "starting" and len(lab.instances) == 1


def test_a_machine_of_the_name_with_other_keys_is_not_ours(lab: LambdaMock, order: Order) -> None:
    making.ensured(connect("lambda"), order)
    with pytest.raises(SkyrigError, match="was made with other keys"):
        making.ensured(connect("lambda"), evolve(order, tags={**TAGS, HOST: "bb"}))
    assert len(lab.instances) == 1


def test_asked_too_much_it_waits_as_long_as_it_is_told(lab: LambdaMock, order: Order) -> None:
    told = {"Retry-After": "20"}  # 0.4 s on this machine
    lab.faults = [Fault("launchInstance", 429, error("global/rate-limit", "slow down"), headers=told)]
    started = time.monotonic()
    making.ensured(connect("lambda"), order)
    assert time.monotonic() - started >= 0.4 and lab.count("launchInstance") == 2
    lab.faults = [Fault("listInstances", 503, times=2)]
    assert len(connect("lambda").machines()) == 1
    lab.faults = [Fault("listInstances", 503, times=99)]
    with pytest.raises(Unclear, match="HTTP 503"):
        connect("lambda").machines()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("1.5", 1.5), ("", None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_what_retry_after_says(text: str, seconds: float | None) -> None:
    refused: Any = refusal("lambda", 429, b"", text)
    assert refused.pause == seconds


def test_launches_are_paced_over_all_that_launch(lab: LambdaMock, order: Order) -> None:
    orders = [evolve(order, name=f"{NAME}{number}") for number in range(3)]
    threads = [threading.Thread(target=making.ensured, args=(connect("lambda"), each)) for each in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    at = sorted(call.at for call in lab.calls if call.operation == "launchInstance")
    assert len(at) == 3 and all(later - earlier > 0.2 for earlier, later in itertools.pairwise(at))


def test_turns_survive_a_clock_that_was_set_back_and_a_torn_file(tmp_path: Path) -> None:
    file = tmp_path / "turns"
    assert [pace.turn(file, 2.0, 100.0) for _ in range(3)] == [100.0, 102.0, 104.0]
    assert pace.turn(file, 2.0, 50.0) == 106.0 and pace.turn(file, 2.0, -500.0) == -500.0
    file.write_text("no number")
    assert pace.turn(file, 2.0, 7.0) == 7.0


def test_boots_are_waited_for_together_and_what_fails_is_named(lab: LambdaMock, order: Order) -> None:
    rents = connect("lambda")
    ids = {f"n{number}": making.ensured(rents, evolve(order, name=f"{NAME}{number}")).id for number in range(2)}
    found = making.reached(rents, ids)
    assert all(each.is_reached for each in found.values())
    assert found["n0"].tags == {STACK: "Dev 1", OWNER: "ada", NODE: "n0", HOST: "aa", "team-a": "x"}
    lab.instances[ids["n1"]]["status"] = "preempted"
    with pytest.raises(SkyrigError, match=r"n1: machine .* does not come up: it is preempted"):
        making.reached(rents, ids) if _later() else None


def _later() -> bool:
    time.sleep(0.1)
    return True


def test_an_end_is_waited_for_and_is_the_same_twice(lab: LambdaMock, order: Order) -> None:
    rents = connect("lambda")
    made = making.ensured(rents, order)
    making.ended(rents, made.id)
    making.ended(rents, made.id)
    making.ended(rents, "of-no-machine")
    assert rents.machine("of-no-machine") is None
    seen = rents.machine(made.id)
    assert seen is not None and not seen.is_there


def test_a_key_is_kept_once_and_another_one_makes_way(lab: LambdaMock) -> None:
    rents = connect("lambda")
    first = making.kept(rents, "k", "ssh-ed25519 AAAA")
    assert making.kept(rents, "k", "ssh-ed25519 AAAA again") == first
    assert making.kept(rents, "k", "ssh-ed25519 BBBB") != first
    assert [each["public_key"] for each in lab.ssh_keys.values()] == ["ssh-ed25519 BBBB"]


def test_refusals_say_what_they_are(lab: LambdaMock, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.rooms = {"us-west-1"}
    with pytest.raises(ApiError) as full:
        making.ensured(connect("lambda"), order)
    found = refusals.find("lambda", full.value.message)
    assert found is not None and (found.kind, found.where, found.what) == ("capacity", "region", "type")
    lab.rooms = {"us-east-1"}
    for code, kind in (("global/quota-exceeded", "quota"), ("global/account-inactive", "permission")):
        lab.faults = [Fault("launchInstance", 403, error(code, "no"))]
        with pytest.raises(ApiError) as refused:
            making.ensured(connect("lambda"), order)
        assert refusals.kind("lambda", refused.value.message) == kind
    monkeypatch.setenv("LAMBDA_API_KEY", OTHER)
    with pytest.raises(NotUsable, match="global/invalid-api-key") as wrong:
        making.ensured(connect("lambda"), order)
    assert OTHER not in str(wrong.value) and not lab.instances


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault("launchInstance", 524, after=True), "a proxy before the API gave up"),
        (Fault("launchInstance", 200, after=True), "an empty answer"),
        (Fault("launchInstance", 200, {"data": {"instance_ids": []}}, after=True), "an answer without an id"),
        (Fault("addSSHKey", 502, after=True), "of a key"),
    ],
)
def test_an_answer_that_says_nothing_leaves_it_open(lab: LambdaMock, order: Order, fault: Fault, why: str) -> None:
    lab.faults = [fault]
    kept = making.kept(connect("lambda"), "other", "ssh-ed25519 BBBB")
    made = making.ensured(connect("lambda"), order)
    assert list(lab.instances) == [made.id] and kept in lab.ssh_keys and len(lab.ssh_keys) == 2, why


def test_an_empty_list_is_not_one_of_nothing(lab: LambdaMock, order: Order) -> None:
    making.ensured(connect("lambda"), order)
    lab.faults = [Fault("listInstances", 200, times=9)]
    with pytest.raises(Unclear, match="the answer at /instances is empty"):
        connect("lambda").machines()


def test_a_machine_in_a_state_that_nobody_knows_is_there(lab: LambdaMock, order: Order) -> None:
    made = making.ensured(connect("lambda"), order)
    seen = api._rental({**lab.instances[made.id], "status": "migrating"})
    assert seen.is_there and not seen.is_reached
    assert not api._rental({**lab.instances[made.id], "status": "terminating"}).is_there


def test_the_cloud_is_checked_and_swept(lab: LambdaMock, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = clouds.of("lambda")
    assert cloud.account("us-east-1") == "lrn-account-5f2b7a" and list(cloud.zones("us-east-1", KIND)) == [""]
    assert list(cloud.zones("us-east-1", "gpu_9x")) == []
    assert [each.ok for each in cloud.check("us-east-1", Wanted(KIND))] == [True, True]
    assert [each.ok for each in cloud.check("us-south-1", Wanted(KIND))] == [True, None]
    assert [each.ok for each in cloud.check("us-east-1", Wanted("gpu_9x"))] == [True, False]
    making.reached(connect("lambda"), {"n0": making.ensured(connect("lambda"), order).id})
    own = making.kept(connect("lambda"), names.cluster_name("Dev 1", "ada"), "ssh-ed25519 CCCC")
    [machine] = cloud.machines("Dev 1", "us-east-1")
    assert (machine.node_id, machine.power) == ("n0", "up") and machine.public
    left = cloud.leftovers("Dev 1", "us-east-1")
    assert [(each.kind, each.hourly, each.owner) for each in left] == [("machine", 0.75, "ada"), ("SSH key", 0.0, "")]
    [seen] = cloud.tagged(None).stacks
    assert (seen.stack, seen.region, seen.machines, seen.owner) == ("Dev 1", "us-east-1", 1, "ada")
    kind = "pulumi-python:dynamic/skyrig:Lambda"
    assert cloud.find(f"{kind}Machine", {"name": NAME}, "us-east-1") == machine.machine
    assert cloud.find(f"{kind}Key", {"name": names.cluster_name("Dev 1", "ada")}, "") == own
    assert cloud.find(f"{kind}Machine", {"name": "other"}, "") is cloud.find(f"{kind}Power", {}, "") is None
    cloud.remove("Dev 1", "us-east-1", left)
    assert list(cloud.leftovers("Dev 1", "us-east-1")) == [] and cloud.tagged("us-east-1").stacks == ()
    monkeypatch.setenv("LAMBDA_API_KEY", OTHER)
    assert [each.ok for each in cloud.check("us-east-1", None)] == [False]


def test_without_an_audit_log_the_account_is_what_stands_for_the_key(
    lab: LambdaMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.faults = [Fault("getAuditEvents", 403, error("global/invalid-api-key", "not allowed"), times=2)]
    mine = clouds.of("lambda").account("")
    assert mine.startswith("key-") and KEY not in mine and clouds.of("lambda").account("") == mine
    monkeypatch.delenv("LAMBDA_API_KEY")
    monkeypatch.setenv("HOME", "/nowhere")
    assert "LAMBDA_API_KEY" in clouds.of("lambda").missing()


def test_images_and_tags_are_as_lambda_takes_them() -> None:
    assert set(api.labels({"a": "1", "Ab": "2", "9x": "3", "no": ""})) == {"x-a", "ab", "x-9x"}

    def said(image: str) -> Any:
        return api.launch(Order("a", KIND, "us-east-1", image=image)).get("image")

    assert said("") is None and said("lambda-stack-22-04") == {"family": "lambda-stack-22-04"}
    assert said("43336648-096d-4cba-9aa2-f9bb7727639d") == {"id": "43336648-096d-4cba-9aa2-f9bb7727639d"}
