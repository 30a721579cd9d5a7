"""What a life of tests/conformance does not have: no capacity, an engine that is killed, and a bucket."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from killing import killed_when
from nebius_account import KIND, environment
from nebius_cloud import REGION, NebiusCloud
from user import User

from skyrig.clouds.nebius.names import cluster_name, machine_name

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

START_S = 240.0
UP = ["up", "--infra", f"nebius/{REGION}", "-t", KIND, "-y", "--nodes"]


@pytest.fixture
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[User, NebiusCloud]]:
    """Somebody in a stack of their own on a cloud of their own."""
    with NebiusCloud() as cloud:
        folder = tmp_path_factory.mktemp("nebius")
        user = User(folder, f"life{time.monotonic_ns() % 1000000}")
        user.env |= environment(cloud, folder)
        yield user, cloud


def test_no_capacity_for_the_second_of_two_leaves_nothing_that_is_paid_for(person: tuple[User, NebiusCloud]) -> None:
    user, cloud = person
    cloud.full, cloud.refused_after = "NotEnoughResources: not enough resources for the VM", 0
    up = user.run(*UP, "2", check=3, timeout=START_S)
    assert f"nebius has no {KIND} in {REGION} now" in up.told()
    assert cloud.of("Instance") == [] and cloud.of("Allocation") == []


def test_an_engine_killed_while_it_makes_machines_leaves_none_twice(person: tuple[User, NebiusCloud]) -> None:
    user, cloud = person
    cloud.late_s = 5
    killed_when(user, [*UP, "3"], lambda: len(cloud.of("Instance")) >= 2)
    cloud.late_s = 0
    before = {each.id for each in cloud.of("Instance")}
    up = user.run("up", "-y", timeout=START_S)
    assert "was being made when an earlier run was cut off" in up.told()
    after = {each.inputs["name"]: each.id for each in cloud.of("Instance")}
    assert sorted(after) == [machine_name(cluster_name(user.stack), f"n{number}", 1) for number in range(3)]
    assert before <= set(after.values())
    user.run("down", "-y", timeout=START_S)
    assert cloud.things == {}
