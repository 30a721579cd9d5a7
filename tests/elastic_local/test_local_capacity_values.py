"""Places, capacity and spot of the local cloud without the engine: what is asked for, what is limited, what is refused,
what is remembered of it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from components.local.describe import describe
from components.local.node import LocalNodeProvider
from skyrig import fitting, local, places, renting
from skyrig.catalog import refusals
from skyrig.cluster import shape as shapes
from skyrig.cluster import sites
from skyrig.cluster.description import from_json
from skyrig.cluster.machine import Capacity, Machine
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.errors import BadInput
from skyrig.failover import memory, place
from skyrig.failover.memory import Refused
from skyrig.fleet.local import capacity
from skyrig.fleet.local.capacity import Limit, NoRoom
from skyrig.fleet.local.layout import NodeFolder, NodeRequest
from skyrig.task import reading
from skyrig.task.model import Task


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all local nodes of a SKYRIG_HOME without any."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    return places.local_nodes("any").parent


def task(resources: str) -> Task:
    return reading.loads(f"run: x\nresources: {resources}\n").only()


def folder(root: Path, stack: str, node: str) -> NodeFolder:
    made = NodeFolder(root / stack / node)
    made.path.mkdir(parents=True)
    return made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("local", ("", "")), ("here", ("here", "")), ("local/there", ("there", "")), ("there-a", ("there", "there-a")),
        ("local/here/here-b", ("here", "here-b")), ("here/here-a", ("here", "here-a")),
    ],
)  # fmt: skip
def test_a_place_has_a_name(text: str, found: tuple[str, str]) -> None:
    assert sites.named(text) == found


@pytest.mark.parametrize("text", ["", "aws", "here-c", "local/", "here/there-a", "local/here/here-a/x", "local/here/"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"no place|no zone|no region|is in region"):
        sites.named(text)


@pytest.mark.parametrize(
    ("resources", "machine"),
    [
        ("{}", Machine()),
        ("{infra: local}", Machine()),
        ("{infra: local, use_spot: true}", Machine(capacity=Capacity("spot"))),
        ("{use_spot: true}", Machine(capacity=Capacity("spot"))),
        ("{infra: local/here}", Machine(region="here")),
        ("{infra: local/*/there-a}", Machine(region="there", zone="there-a")),
        ("{region: us-east-1}", Machine()),
    ],
)
def test_a_task_says_place_and_market(resources: str, machine: Machine) -> None:
    assert fitting.shape_for(Shape(), task(resources)).machine == machine


def test_a_place_that_is_not_there_is_refused_before_anything_is_made() -> None:
    with pytest.raises(BadInput, match="no region us-east-1") as refused:
        fitting.shape_for(Shape(), task("{infra: local/us-east-1}"))
    assert refused.value.exit_code == 2 and "local/there/there-a" in (refused.value.hint or "")


def test_a_cluster_that_is_there_stays_where_it_is_and_one_that_was_taken_down_does_not() -> None:
    there = Shape(machine=Machine(region="here", zone="here-b", capacity=Capacity("spot")))
    assert fitting.shape_for(there, task("{infra: local}")).machine == there.machine
    assert fitting.shape_for(there, task("{infra: local/here}")).machine == there.machine
    assert fitting.shape_for(there, task("{infra: local/there}")).machine.region == "there"
    assert fitting.shape_for(there, task("{use_spot: false}")).machine.capacity == Capacity()
    assert fitting.shape_for(evolve(there, power="down"), task("{infra: local}")).machine == Machine()


def test_the_config_keeps_them() -> None:
    asked = Shape(machine=Machine(region="here", zone="here-b", capacity=Capacity("spot")))
    assert shapes.from_config(asked.to_config()) == asked
    assert {"cloud", "region", "zone", "capacity"}.isdisjoint(Shape().to_config())
    assert str(asked) == "2 nodes (CPU) on the local cloud, spot, in here-b"
    mixed = Shape(nodes=(WantedNode("n0"), WantedNode("n1", "spot")))
    assert str(mixed) == "2 nodes (CPU) on the local cloud, 1 of them spot"
    assert str(Shape()) == "2 nodes (CPU) on the local cloud"


def test_places_are_tried_in_their_order() -> None:
    asked = [each.machine.region for each in fitting.local_places(Shape())]
    assert asked == ["here", "there"]
    one = fitting.local_places(Shape(machine=Machine(zone="here-b")))
    assert [(each.machine.region, each.machine.zone) for each in one] == [("here", "here-b")]
    assert renting.settled(Shape()) == Shape()
    assert renting.settled(Shape(machine=Machine(region="there"))).machine.zone == "there-a"


def test_a_limit_on_a_place_replaces_those_in_it(root: Path) -> None:
    local.limit("here-a", 2)
    local.limit("there", 0, "spot")
    local.limit("here", 3, "spot", 60)
    assert [(each.place, each.market, each.most) for each in capacity.limits(root)] == [
        ("local/here/here-a", "all", 2), ("local/there", "spot", 0), ("local/here", "spot", 3),
    ]  # fmt: skip
    local.limit("local/here", 1)
    assert {each.place for each in capacity.limits(root)} == {"local/here", "local/there"}
    local.limit("local", None)
    assert capacity.limits(root) == [] and not local.is_limited()


def test_a_limit_ends_at_its_time(root: Path) -> None:
    before = time.time()
    assert capacity.changed(root) == 0.0
    local.limit("here-a", 0, for_s=100)
    (limit,) = capacity.limits(root)
    assert limit.until is not None and before + 100 <= limit.until <= time.time() + 100
    assert capacity.limits(root, limit.until) == [] and capacity.changed(root, limit.until) == limit.until
    assert before <= capacity.changed(root) <= time.time()


def test_room_is_taken_until_there_is_none(root: Path) -> None:
    free = folder(root, "one", "n0")
    capacity.take(free, "here-a", spot=True)
    assert not free.room.exists(), "nothing is counted where nothing is limited"
    local.limit("here-a", 1, "spot")
    capacity.take(free, "here-a", spot=True)
    capacity.take(free, "here-a", spot=True)
    capacity.take(folder(root, "two", "n0"), "here-a", spot=False)
    capacity.take(folder(root, "two", "n1"), "here-b", spot=True)
    with pytest.raises(NoRoom, match=r"LocalZoneFull: local/here/here-a has room for 1 spot node, 1 are there"):
        capacity.take(folder(root, "two", "n2"), "here-a", spot=True)
    assert len(capacity.taken(root)) == 3
    dead = {"zone": "here-a", "spot": True, "pid": os.getpid(), "started": "long ago"}
    free.room.write_text(json.dumps(dead))
    capacity.take(NodeFolder(root / "two" / "n2"), "here-a", spot=True)
    assert [room.nodes for room in local.rooms()] == [3, 3, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("limit", "code", "where"),
    [("local", "LocalCloudFull", "cloud"), ("here", "LocalRegionFull", "region"), ("here-a", "LocalZoneFull", "zone")],
)
def test_a_refusal_is_read_as_a_clouds_is(root: Path, limit: str, code: str, where: str) -> None:
    local.limit(limit, 0)
    with pytest.raises(NoRoom) as refused:
        capacity.take(folder(root, "one", "n0"), "", spot=False)
    found = refusals.find("local", f"Exception calling application: {refused.value}")
    assert found is not None and (found.kind, found.code, found.where) == ("capacity", code, where)
    asked = Shape(machine=Machine(region="here", zone="here-a"))
    there = [place.of_shape(evolve(asked, machine=Machine(region=sites.region_of(zone), zone=zone)))
             for zone in ("here-a", "here-b", "there-a")]  # fmt: skip
    refuses = [place.covers(found, place.of_shape(asked), each) for each in there]
    assert sum(refuses) == {"zone": 1, "region": 2, "cloud": 3}[where] and refuses[0]
    told = renting.no_room(Shape(), found)
    assert told.exit_code == 3 and told.message == f"local/here/here-a has no room for a node more ({code})"


def test_what_is_remembered_of_it_ends_with_the_limit(root: Path) -> None:
    said = refusals.find("local", "LocalZoneFull")
    assert said is not None
    at = place.of_shape(Shape(machine=Machine(region="here", zone="here-a")))
    local.limit("here-a", 0)
    memory.add(Refused(said, at, "", time.time()))
    assert memory.read().reason(at) == "no capacity 0 s ago (LocalZoneFull)"
    local.limit("there", 0)
    assert memory.read().reason(at) == ""
    memory.add(Refused(said, at, "", time.time()))
    capacity.set_limit(root, "local/here/here-a", {"all": 0}, until=time.time() - 1)
    assert memory.read().refused == ()


def test_a_node_that_an_older_skyrig_made_is_not_made_anew() -> None:
    older: dict[str, Any] = {
        "stack": "s", "node_id": "n1", "group": "spot", "version": 1, "level": "plain", "alias": "s-n1",
        "address": "127.0.0.1", "network": "i", "authorized_key": "k", "accelerator": "", "accelerator_count": 0,
        "cpus": 0, "power": "up", "starts": 0,
    }  # fmt: skip
    provider, there = LocalNodeProvider(), {**older, "node": {"power": "up"}}
    assert not provider.diff("n1", there, {**older, "spot": True}).changes
    moved = provider.diff("n1", there, {**older, "zone": "here-b"})
    assert moved.changes and moved.replaces == ["zone"]
    request = NodeRequest(Path("/f"), "s", "n1", "plain", "s-n1", "k", {}, Path("/r"))
    assert {"zone", "spot"}.isdisjoint(request.as_json())
    asked = request._replace(zone="here-b", spot=True)
    assert NodeRequest.read(asked.as_json()) == asked


def test_a_description_says_place_and_market() -> None:
    said = {
        "node_id": "n0", "host": "127.0.0.1", "port": 4, "address": "a", "user": "u", "host_key": "k",
        "incarnation": "i", "alias": "c", "internal_port": 22, "cpus": 2, "memory_gb": 3,
        "accelerators": {"name": "", "count": 0, "declared": False},
    }  # fmt: skip
    cluster = from_json(describe("c", "plain", [said], "k", Path("/r"), (), ["n0"], ("here", "here-b")))
    assert (cluster.region, cluster.zone, cluster.head.spot) == ("here", "here-b", True)
    plain = from_json(describe("c", "plain", [said], "k", Path("/r")))
    assert (plain.region, plain.zone, plain.head.spot) == ("", "", False)


def test_a_limit_counts_its_own_nodes_alone() -> None:
    spot, paid = capacity.Taken("here-a", True), capacity.Taken("there-a", False)
    assert [Limit("local", "all", 1).counts(each) for each in (spot, paid)] == [True, True]
    assert [Limit("local", "spot", 1).counts(each) for each in (spot, paid)] == [True, False]
    assert [Limit("local/there", "on-demand", 1).counts(each) for each in (spot, paid)] == [False, True]
