"""The life of a cluster on Google Cloud by our verbs: the real engine and SDK, and a cloud on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from gcp_account import START_S, ZONE, GcpUser
from google_cloud import PROJECT, GoogleCloud
from killing import killed_when

from skyrig.clouds import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.soak]


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleCloud]:
    with GoogleCloud() as running:
        yield running


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, google: GoogleCloud) -> GcpUser:
    """Somebody with a cluster of three small GPU nodes there, which they were asked about."""
    made = GcpUser(tmp_path_factory.mktemp("gcp"), f"life{time.monotonic_ns() % 100000}", google)
    refused = made.run(*made.up(3)[:-1], check=2)
    assert "costs money" in refused.told() and google.left() == []
    up = made.run(*made.up(3), timeout=START_S)
    assert f"g2-standard-4 in {ZONE}, $" in up.told()
    return made


def test_it_is_there_and_nothing_changes_where_nothing_was_changed(person: GcpUser) -> None:
    assert sorted(person.google.machines) == [person.name(node) for node in ("n0", "n1", "n2")]
    assert person.google.calls == []  # nobody switched a machine that was just made
    done = person.pulumi("preview", "--expect-no-changes", "--refresh")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_stopped_is_seen_stays_and_starts_again_as_itself(person: GcpUser) -> None:
    before = incarnations(person)
    person.google.machines |= {person.name("n1"): "TERMINATED", person.name("n2"): "TERMINATED"}
    person.end("n0")
    assert person.statuses() == {"n0": "DOWN", "n1": "STOPPED", "n2": "STOPPED"}
    up = person.run("up", "-y", timeout=START_S)
    assert "n1, n2 stopped and stays so" in up.told() and "$" in up.told()
    states = person.google.machines
    assert [states[person.name(node)] for node in ("n0", "n1", "n2")] == ["RUNNING", "TERMINATED", "TERMINATED"]
    person.run("start", "-y", timeout=START_S)
    assert set(person.google.machines.values()) == {"RUNNING"}
    assert sorted(person.google.calls) == [f"start {person.name(node)}" for node in ("n1", "n2")]
    after = incarnations(person)
    assert after["n0"] != before["n0"] and (after["n1"], after["n2"]) == (before["n1"], before["n2"])


def test_a_check_says_what_is_in_the_way(person: GcpUser) -> None:
    words = ["check", "gcp", "--gpus", "L4:1", "--infra", "gcp/us-central1"]
    found = person.run(*words).told()
    assert PROJECT in found and "g2-standard-4" in found
    person.google.disabled = {"iam"}
    lacking = person.run(*words, check=3).told()
    person.google.disabled = set()
    assert f"gcloud services enable iam.googleapis.com --project {PROJECT}" in lacking


def incarnations(person: GcpUser) -> dict[str, str]:
    """The machine behind each node, as the stack knows it."""
    cluster = json.loads(person.pulumi("stack", "output", "--json").stdout)["cluster"]
    return {node["id"]: node["incarnation"] for node in cluster["nodes"]}


def test_another_project_beside_the_credentials_changes_nothing(person: GcpUser) -> None:
    there = dict(person.google.machines)
    person.env["GOOGLE_CLOUD_PROJECT"] = "another-project"
    try:
        for verb in (["up", "-y"], ["down", "-y"], ["status", "--refresh"]):
            refused = person.run(*verb, check=2, timeout=120)
            assert f"belongs to the gcp account {PROJECT}" in refused.told()
        assert set(person.statuses().values()) == {"DOWN"}  # nobody answers at their addresses
        person.google.machines[person.name("n1")] = "TERMINATED"
        assert person.statuses()["n1"] == "STOPPED"  # of its own project, whatever is named here
    finally:
        person.env["GOOGLE_CLOUD_PROJECT"] = PROJECT
        person.google.machines[person.name("n1")] = "RUNNING"
    assert person.google.machines == there


def test_down_names_what_stays_with_its_price_and_leaves_nothing_else(person: GcpUser) -> None:
    person.google.put(f"zones/{ZONE}/disks/{person.name('n0')}-more", type="x/pd-balanced", sizeGb="730",
                      labels={"skyrig-stack": person.stack})  # fmt: skip
    person.google.stuck = {f"zones/{ZONE}/disks/{person.name('n0')}-more"}
    down = person.run("down", "-y", check=5, timeout=START_S)
    assert f"disk zones/{ZONE}/disks/{person.name('n0')}-more ($0.1000/h)" in down.told()
    person.google.stuck = set()
    person.run("down", "-y", timeout=START_S)
    assert person.google.left() == []
    assert [one["status"] for one in person.json("status", "-c", person.stack)["clusters"]] == ["DOWN"]


@pytest.fixture
def another(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpUser]:
    """Somebody in a stack of their own on a cloud of their own."""
    with GoogleCloud() as running:
        yield GcpUser(tmp_path_factory.mktemp("gcp"), f"fault{time.monotonic_ns() % 1000000}", running)


def test_no_capacity_for_the_second_of_two_leaves_nothing_that_is_paid_for(another: GcpUser) -> None:
    said = (
        f"The zone 'projects/{PROJECT}/zones/{ZONE}' does not have enough resources available to fulfill the request."
    )
    another.env["ECHO_FAIL"] = f"-n1-v1:create:{said}:1.0"
    up = another.run(*another.up(2), check=3, timeout=START_S)
    assert f"gcp has no g2-standard-4 in {ZONE} now (does not have enough resources" in up.told()
    assert "try another --zone, --region or --cloud" in up.told()
    assert another.google.machines == {} and not [each for each in another.google.left() if "address" in each]


def test_a_slice_is_one_machine_whose_hosts_are_nodes(another: GcpUser, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in another.google.env.items():
        monkeypatch.setenv(name, value)
    place = ["--infra", "gcp/us-west4/us-west4-a", "-t", "v5litepod-16", "--nodes", "4"]
    another.run("up", *place, "-y", timeout=START_S)
    [path] = [each for each in another.google.left() if "/nodes/" in each]
    cluster = json.loads(another.pulumi("stack", "output", "--json").stdout)["cluster"]
    seen = cloud.of("gcp", PROJECT).machines(another.stack, "us-west4")
    assert {each.node_id: each.machine for each in seen} == incarnations(another)
    assert [each.private for each in seen] == [node["address"] for node in cluster["nodes"]]
    another.google.end(f"tpu/projects/{PROJECT}/{path}")
    assert set(another.statuses().values()) == {"DOWN"}
    another.run("up", "-y", timeout=START_S)
    assert len(set(incarnations(another).values())) == 4
    another.run("down", "-y", timeout=START_S)
    assert another.google.left() == []


def test_an_engine_killed_while_it_makes_or_deletes_instances_leaves_nothing_twice_or_behind(another: GcpUser) -> None:
    another.env["ECHO_LATE_S"] = "5"
    killed_when(another, another.up(3), lambda: len(another.google.machines) >= 2)
    del another.env["ECHO_LATE_S"]
    before = {name: said["id"] for name, said in _instances(another).items()}
    up = another.run("up", "-y", timeout=START_S)
    assert "was being made when an earlier run was cut off" in up.told()
    after = {name: said["id"] for name, said in _instances(another).items()}
    assert sorted(after) == [another.name(node) for node in ("n0", "n1", "n2")]
    assert before.items() <= after.items()
    assert set(incarnations(another).values()) == set(after.values())
    another.env["ECHO_LATENCY_S"] = "delete=1"
    killed_when(another, ["down", "-y"], lambda: len(another.google.machines) < 3)
    del another.env["ECHO_LATENCY_S"]
    another.run("down", "-y", timeout=START_S)
    assert another.google.left() == []


def _instances(person: GcpUser) -> dict[str, dict[str, str]]:
    """Instances as the cloud has them, by name."""
    return {key.rpartition("/")[2]: said for key, said in person.google.things.items() if "/instances/" in key}
