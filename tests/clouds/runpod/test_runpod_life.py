"""The life of a pod by our verbs: the real engine and its dynamic resources. No pod answers: inside a real one its own
address is the machine's loopback, which is ours here."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from killing import killed_when
from rented_user import LONG_S, RentedUser
from runpod_mock import CENTER, KEY, KIND, RunpodMock

pytestmark = [pytest.mark.e2e, pytest.mark.soak]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunpodMock]:
    with RunpodMock() as mock:
        yield mock
        assert mock.wrong == []


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, lab: RunpodMock) -> RentedUser:
    stack = f"pod{time.monotonic_ns() % 100000}"
    env = {**lab.env, "RUNPOD_API_KEY": KEY}
    return RentedUser(tmp_path_factory.mktemp("runpod"), stack, env, ["--infra", "runpod/US", "-t", KIND])


def test_several_nodes_are_refused_and_nothing_is_made(person: RentedUser, lab: RunpodMock) -> None:
    refused = person.run(*person.up(2), check=3, timeout=LONG_S)
    assert "cannot join several nodes" in refused.told() and not lab.pods


def test_an_engine_that_is_killed_while_it_makes_a_pod_leaves_one(person: RentedUser, lab: RunpodMock) -> None:
    lab.slow = {"createPod": 60.0}
    killed_when(person, person.up(), lambda: lab.count("createPod"))
    lab.slow = {}
    person.run("up", "-y", timeout=LONG_S)
    assert list(lab.there(person.stack)) == ["n0"] and lab.count("createPod") == 1
    assert person.statuses() == {"n0": "DOWN"} and person.nodes()["n0"]["user"] == "root"


def test_it_stops_and_starts_at_another_port(person: RentedUser, lab: RunpodMock) -> None:
    before = person.nodes()["n0"]
    refused = person.run("up", "-y", "--nodes", "2", check=2, timeout=LONG_S)
    assert "runpod cannot join several nodes" in refused.told()
    person.run("stop", "-y", timeout=LONG_S)
    assert [each["status"] for each in lab.pods.values()] == ["EXITED"] and person.statuses() == {"n0": "STOPPED"}
    person.run("start", "-y", timeout=LONG_S)
    after = person.nodes()["n0"]
    assert after["incarnation"] == before["incarnation"] and after["port"] != before["port"]
    person.run("down", "-y", timeout=LONG_S)
    assert not lab.pods


def test_without_room_nothing_is_made(person: RentedUser, lab: RunpodMock) -> None:
    lab.rooms[CENTER] = "NONE"
    person.run(*person.up(), check=3, timeout=LONG_S)
    assert not lab.pods
