"""A real cluster on the local cloud where capacity is missing: the next place, none at all, and capacity that comes
back; spot nodes that are preempted by a seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from user import User, end_nodes, until

from skyrig.local import LocalNode
from skyrig.preempting import Storm

pytestmark = pytest.mark.e2e

TASK = """
name: t
num_nodes: 2
resources: {infra: local, use_spot: true}
run: echo $SKYPILOT_CLUSTER_INFO
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user without a cluster."""
    person = User(tmp_path_factory.mktemp("user"), "dry")
    person.env["SKYRIG_RETRY_S"] = "1"
    (person.clone / "t.yaml").write_text(TASK)
    yield person
    end_nodes(person.home)


def cluster(user: User, name: str = "dry") -> dict[str, Any]:
    """A cluster's row of `status --json`."""
    rows = user.json("status", "-c", name)["clusters"]
    return next(row for row in rows if row["name"] == name)


def places(user: User) -> dict[str, int]:
    return {row["place"]: row["nodes"] for row in user.json("local.capacity")["places"]}


@pytest.mark.soak
def test_the_next_place_is_taken_where_the_first_has_no_room(user: User) -> None:
    user.run("local.capacity", "here-a", "1")
    done = user.run("launch", "t.yaml", "-c", "dry")
    told = done.err.decode()
    assert "local/here-a node spot: no capacity (LocalZoneFull): removing what was made" in told
    rows = [line.split() for line in told.splitlines() if line[:1] in "12" and "local/here" in line]
    assert [row[:4] + row[5:-2] for row in rows] == [
        ["1", "local/here-a", "2x", "node", "$0.00/h", "no", "capacity", "(LocalZoneFull)"],
        ["2", "local/here-b", "2x", "node", "$0.00/h", "up"],
    ]
    said = json.loads(done.lines[-1].partition(") ")[2])
    assert said == {"cluster_name": "dry", "cloud": "Local", "region": "here", "zone": "here-b"}
    there = cluster(user)
    assert (there["status"], there["region"], there["zone"]) == ("UP", "here", "here-b")
    assert [node["spot"] for node in there["nodes"]] == [True, True]
    assert {(node["zone"], node["spot"]) for node in user.nodes().values()} == {("here-b", True)}
    assert places(user) == {
        "local": 2, "local/here": 2, "local/here/here-a": 0, "local/here/here-b": 2, "local/there": 0,
        "local/there/there-a": 0,
    }  # fmt: skip


def test_all_dry_is_exit_3_and_nothing_is_left(user: User) -> None:
    before = user.json("local.ls")["nodes"]
    user.run("local.capacity", "local", "none", "--spot")
    done = user.run("launch", "t.yaml", "-c", "wet", check=3)
    told = done.err.decode()
    assert "no cloud has the machines now, after 1 attempt" in told
    assert "node spot in local/here-b, local/there: no capacity" in told and "(LocalCloudFull)" in told
    assert not (user.home / "local" / "wet").exists()
    assert user.json("local.ls")["nodes"] == before, "nothing came, and nothing of others went"
    assert cluster(user, "wet")["status"] == "DOWN"


@pytest.mark.soak
def test_a_seed_says_who_is_preempted_and_a_node_comes_back_with_capacity(user: User) -> None:
    def listed(row: dict[str, Any]) -> LocalNode:
        return LocalNode(**{key: row[key] for key in ("name", "cluster", "rank", "pid", "port", "status", "spot")})

    before = user.nodes()
    storm = Storm(seed=5, every_s=1.0, cluster="dry")
    victim = next(storm.strikes()).of(storm.targets([listed(row) for row in before.values()])).name
    done = user.run("local.preempt", "-c", "dry", "--every", "1s", "--seed", "5", "--count", "1")
    assert len(done.lines) == 1 and done.lines[0].endswith(f"s: node dry/{victim} was killed")
    until(lambda: user.nodes()[victim]["status"] == "DOWN", "it is dead")

    user.run("local.capacity", "local", "any")
    user.run("local.capacity", "here-b", "1", "--spot")
    with user.start("up", "-c", "dry", "-r") as waits:
        assert waits.stdout is not None
        told = ""
        while "round 2 begins" not in told:
            line = waits.stdout.readline().decode()
            assert line, told
            told += line
        assert "local/here/here-b has no room for a spot node more (LocalZoneFull)" in told
        user.run("local.capacity", "local", "any")
        assert waits.wait(120) == 0
    after = user.nodes()
    survivor = ({"n0", "n1"} - {victim}).pop()
    assert after[survivor] == before[survivor] and after[victim]["pid"] != before[victim]["pid"]
    assert {row["status"] for row in after.values()} == {"UP"}
    assert cluster(user)["zone"] == "here-b"


@pytest.mark.soak
def test_a_cluster_that_waits_for_capacity_comes_up_with_it(user: User) -> None:
    user.run("local.capacity", "local", "none", "--for", "12s")
    told = user.run("launch", "t.yaml", "-c", "later", "-r").err.decode()
    assert "no cloud has the machines now" in told and "round 2 begins" in told
    assert cluster(user, "later")["status"] == "UP"
    user.run("local.capacity", "local", "any")


@pytest.mark.soak
def test_a_repair_that_has_no_room_is_exit_3_and_leaves_the_others(user: User) -> None:
    user.run("local.capacity", "local", "none", "--spot")
    before = user.nodes()
    user.run("local.preempt", "dry/n1")
    user.run("up", "-c", "dry", check=3)
    assert user.nodes()["n0"] == before["n0"] and set(user.nodes()) == {"n0"}
    user.run("local.capacity", "local", "any")
    user.run("up", "-c", "dry")
    assert user.nodes()["n0"] == before["n0"] and user.nodes()["n1"]["status"] == "UP"


@pytest.mark.soak
def test_a_place_that_is_asked_for_is_the_only_one(user: User) -> None:
    user.run("local.capacity", "there", "none")
    refused = user.run("launch", "t.yaml", "-c", "far", "--infra", "local/there", check=3).err.decode()
    assert "local/there/there-a has no room for a spot node more (LocalRegionFull)" in refused
    user.run("local.capacity", "there", "any")
    user.run("up", "-c", "far", "--nodes", "1", "--infra", "local/there/there-a")
    assert (cluster(user, "far")["region"], cluster(user, "far")["zone"]) == ("there", "there-a")
    before = user.nodes()
    asked = user.run("up", "-c", "far", "--infra", "local/here", check=None)
    assert asked.code != 0 and "new place replace every node of far" in asked.err.decode()
    assert cluster(user, "far")["zone"] == "there-a"
    user.run("up", "-c", "far", "--infra", "local/here", "-y")
    assert (cluster(user, "far")["region"], cluster(user, "far")["zone"]) == ("here", "here-a")
    assert user.nodes() == before, "of the other cluster"
