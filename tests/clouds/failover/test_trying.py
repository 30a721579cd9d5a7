"""One round of attempts without an engine: zones are asked of a Google Cloud on loopback, and what would be made is
kept in a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from attrs import define, evolve, field
from azure_stack import ACCOUNT
from google_cloud import PROJECT, GoogleCloud
from two_clouds import FULL, NO_QUOTA

from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError, SkyrigError
from skyrig.failover import journal, memory
from skyrig.failover.attempts import NoneLeft
from skyrig.failover.trying import Doing, try_all
from skyrig.stack.progress import Changes

A, B, C = "us-central1-a", "us-central1-b", "us-east1-c"
AZURE = Shape(cloud="azure", machine=Machine("Standard_NC4as_T4_v3", "eastus", account=ACCOUNT))


def google_in(region: str, kind: str = "g2-standard-4") -> Shape:
    return Shape(cloud="gcp", machine=Machine(kind, region))


@define
class World:
    """What is made and removed, where zones, or regions, say something else than yes."""

    says: Mapping[str, str] = field(factory=dict)
    there: str = ""
    log: list[str] = field(factory=list)
    forbidden: set[str] = field(factory=set)
    told: list[str] = field(factory=list)

    def allow(self, shape: Shape) -> None:
        if shape.machine.region in self.forbidden:
            raise BadInput("over the budget of $1.00/h")

    def make(self, shape: Shape) -> Changes:
        assert not self.there, "what was half-made is removed first"
        assert shape.machine.account and shape.machine.ssh_from == ("203.0.113.7/32",)
        where = shape.machine.zone or shape.machine.region
        self.there = where
        self.log.append(where)
        found = self.says.get(where) or self.says.get(shape.machine.region)
        if found:
            raise EngineError("pulumi up of stack trip: error", said=("first a warning", found))
        return Changes(1)

    def remove(self) -> None:
        found = journal.read("trip")
        assert found is not None and found.attempts[-1].outcome == "refused"
        self.there = ""

    def run(self, *shapes: Shape, began: float | None = None) -> list[str]:
        """Where attempts were made in one round; the last one is up."""
        self.log.clear()
        doing = Doing(self.allow, self.make, self.remove)
        changes = try_all("trip", shapes, Shape(), doing, self.told.append, began=began)
        assert changes == Changes(1) and self.there == self.log[-1]
        assert journal.read("trip") is None
        self.there = ""
        return list(self.log)

    def fails(self, *shapes: Shape, kind: type[SkyrigError] = NoneLeft) -> str:
        """What is said of a round in which nothing came up."""
        with pytest.raises(kind) as caught:
            self.run(*shapes)
        journal.clear("trip")
        return str(caught.value)


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    with GoogleCloud() as running:
        env = {**running.env, "SKYRIG_HOME": str(tmp_path), "SKYRIG_SSH_FROM": "203.0.113.7/32"}
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        for zone in (A, B, C):
            running.put(f"zones/{zone}/machineTypes/g2-standard-4")
        yield running


@pytest.mark.usefixtures("google")
def test_the_zones_of_a_region_then_the_next_region_then_the_next_cloud() -> None:
    world = World({zone: FULL.format(zone) for zone in (A, B, C)})
    assert world.run(google_in("us-central1"), google_in("us-east1"), AZURE) == [A, B, C, "eastus"]
    assert any(line.startswith("4  azure/eastus") and "  up " in line for line in world.told)


@pytest.mark.usefixtures("google")
def test_what_refused_lately_is_passed_over_and_tried_all_the_same_where_there_is_nothing_else() -> None:
    world = World({A: FULL.format(A), B: FULL.format(B)})
    assert world.run(google_in("us-central1"), AZURE) == [A, B, "eastus"]
    world.says, world.told = {}, []
    assert world.run(google_in("us-central1"), AZURE) == ["eastus"]
    assert [line for line in world.told if "passed over: " in line and "us-central1" in line]
    assert world.run(google_in("us-central1")) == [A]
    assert any("all of that was refused lately" in line for line in world.told)


@pytest.mark.usefixtures("google")
def test_what_another_account_was_refused_counts_for_nothing() -> None:
    world = World({A: FULL.format(A), B: FULL.format(B)})
    world.run(google_in("us-central1"), AZURE)
    known = memory.read().refused
    (memory.places.home() / "refusals.json").unlink()
    memory.add(*(evolve(each, account="another-project") for each in known))
    world.says = {}
    assert world.run(google_in("us-central1"), AZURE) == [A]


@pytest.mark.usefixtures("google")
def test_a_new_round_believes_a_quota_and_no_capacity_of_before() -> None:
    world = World({"us-central1": NO_QUOTA.format("us-central1"), C: FULL.format(C)})
    assert world.run(google_in("us-central1"), google_in("us-east1"), AZURE) == [A, C, "eastus"]
    at = max(each.at for each in memory.read().refused)
    assert world.run(google_in("us-central1"), google_in("us-east1"), AZURE, began=at + 1) == [C, "eastus"]


@pytest.mark.usefixtures("google")
def test_a_region_whose_zones_are_all_full_is_full_to_whoever_ranks_offers() -> None:
    world = World({A: FULL.format(A), B: FULL.format(B), C: NO_QUOTA.format("us-east1")})
    world.run(google_in("us-central1"), google_in("us-east1"), AZURE)
    found = {(each.place.region, each.place.zone, each.refusal.where) for each in memory.read().refused}
    assert ("us-central1", "", "region") in found and ("us-east1", "", "region") not in found


@pytest.mark.usefixtures("google")
def test_an_offer_that_must_not_be_made_is_passed_over_with_the_reason() -> None:
    world = World({A: FULL.format(A), B: FULL.format(B)}, forbidden={"us-east1"})
    error = world.fails(google_in("us-central1"), google_in("us-east1"))
    assert f"gcp/{A}, gcp/{B}: no capacity" in error and f"gcp/{C}: over the budget of $1.00/h" in error
    world.forbidden = {"us-central1", "us-east1"}
    memory_file = memory.places.home() / "refusals.json"
    memory_file.unlink()
    assert world.fails(google_in("us-central1"), kind=BadInput) == "over the budget of $1.00/h"


def test_a_cloud_that_may_not_be_used_is_passed_over_and_not_asked_for_each_region(google: GoogleCloud) -> None:
    google.disabled = {"compute"}
    regions = [google_in(region) for region in ("us-central1", "us-east1", "us-west1", "us-east4")]
    world = World()
    assert world.run(*regions, AZURE) == ["eastus"]
    assert len([url for url in google.urls if "machineTypes" in url]) == 1
    assert memory.read().reason(memory.Place("gcp", "x", "", "g2-standard-4")).startswith("may not be used")
    google.disabled, google.denied = set(), {"compute"}
    memory_file = memory.places.home() / "refusals.json"
    memory_file.unlink()
    google.urls.clear()
    assert world.run(*regions, AZURE) == ["eastus"]
    assert len([url for url in google.urls if "machineTypes" in url]) == 2
    assert "Required permission" in world.fails(*regions, kind=SkyrigError)


@pytest.mark.usefixtures("google")
def test_a_type_that_no_zone_has_and_an_error_that_is_no_refusal() -> None:
    world = World({A: "Error 400: Invalid value for field 'x'"})
    said = world.fails(google_in("europe-west4"), kind=SkyrigError)
    assert said == "no cloud has that: g2-standard-4 in gcp/europe-west4: no zone has it"
    assert "stack trip: error" in world.fails(google_in("us-central1"), google_in("us-east1"), kind=EngineError)
    assert world.log == [A] and world.there == A  # to be looked at


@pytest.mark.usefixtures("google")
def test_whoever_takes_the_stack_down_meanwhile_ends_the_search() -> None:
    world = World({A: FULL.format(A)})

    def remove() -> None:
        world.remove()
        journal.clear("trip")  # as `down` does

    with pytest.raises(BadInput, match="trip was taken down meanwhile"):
        try_all("trip", [google_in("us-central1")], Shape(), Doing(world.allow, world.make, remove), world.told.append)
    assert world.log == [A] and journal.read("trip") is None


@pytest.mark.usefixtures("google")
def test_a_zone_that_the_config_names_comes_first_and_is_not_tried_twice() -> None:
    kept = evolve(google_in("us-central1"), machine=evolve(google_in("us-central1").machine, zone=B, account=PROJECT))
    world = World({A: FULL.format(A), B: FULL.format(B)})
    assert world.run(kept, google_in("us-central1"), google_in("us-east1")) == [B, A, C]
