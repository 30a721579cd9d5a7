"""The life of a cluster on Lambda by our verbs: the real engine, its dynamic resources, and machines that answer."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from api_mock import Fault
from killing import killed_when
from lambda_mock import KEY, KIND, LambdaMock, error
from rented_user import LONG_S, RentedUser

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LambdaMock]:
    with LambdaMock(tmp_path_factory.mktemp("homes")) as mock:
        yield mock
        assert mock.wrong == []


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, lab: LambdaMock) -> RentedUser:
    stack = f"lam{time.monotonic_ns() % 100000}"
    env = {**lab.env, "LAMBDA_API_KEY": KEY}
    return RentedUser(tmp_path_factory.mktemp("lambda"), stack, env, ["--infra", "lambda/us-east-1", "-t", KIND])


@pytest.mark.soak
def test_an_engine_that_is_killed_while_it_launches_leaves_one_machine(person: RentedUser, lab: LambdaMock) -> None:
    lab.slow = {"launchInstance": 60.0}
    killed_when(person, person.up(2), lambda: lab.count("launchInstance"))
    lab.slow = {}
    assert len(lab.there(person.stack)) == 1
    lab.faults = [Fault("launchInstance", 500, error("global/internal-error", "an error"), after=True)]
    up = person.run("up", "-y", timeout=LONG_S)
    assert "was being made when an earlier run was cut off" in up.told()
    assert sorted(lab.there(person.stack)) == ["n0", "n1"] and lab.count("launchInstance") == 2
    assert person.statuses() == {"n0": "UP", "n1": "UP"}
    assert len({node["host"] for node in person.nodes().values()}) == 2


@pytest.mark.soak
def test_a_task_runs_on_its_machines(person: RentedUser, lab: LambdaMock) -> None:
    (person.clone / "t.yaml").write_text("num_nodes: 2\nrun: echo this is $SKYPILOT_NODE_RANK\n")
    done = person.run("launch", "t.yaml", "-c", person.stack, timeout=LONG_S)
    assert b"this is 0" in done.out and b"this is 1" in done.out
    refused = person.run("autostop", "-c", person.stack, "-i", "5", "--down", check=2)
    assert "cannot end themselves" in refused.told()


@pytest.mark.soak
def test_it_all_goes(person: RentedUser, lab: LambdaMock) -> None:
    person.run("down", "-y", timeout=LONG_S)
    assert not lab.there() and not lab.ssh_keys


@pytest.mark.soak
def test_without_room_nothing_is_made(person: RentedUser, lab: LambdaMock) -> None:
    lab.rooms = {"us-west-1"}
    full = person.run(*person.up(), check=3, timeout=LONG_S)
    assert f"lambda has no {KIND} in us-east-1 now (instance-operations/launch/insufficient-capacity)" in full.told()
    person.run("down", "-y", timeout=LONG_S)
    assert not lab.there() and not lab.ssh_keys
