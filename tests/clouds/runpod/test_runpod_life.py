"""The life of a pod by our verbs: the real engine and its dynamic resources. Only the last pod runs and answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pod_served
import pytest
from killing import killed_when
from rented_user import LONG_S, RentedUser
from runpod_mock import CENTER, KEY, KIND, POD_KEY, RunpodMock

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


def test_a_task_runs_on_a_pod_and_again_after_a_stop(tmp_path: Path) -> None:
    """The pod has its volume and its key still; what was elsewhere on its disk is gone."""
    if lacking := pod_served.missing():
        pytest.skip(lacking)
    with RunpodMock(folder=tmp_path / "pods") as lab:
        env = {**lab.env, "RUNPOD_API_KEY": KEY}
        user = RentedUser(tmp_path, f"pod{os.getpid()}", env, ["--infra", "runpod/US", "-t", KIND])
        try:
            ran(user, lab)
        finally:
            user.run("down", "-c", user.stack, "-y", check=None, timeout=LONG_S)
            for pod in list(lab.pods):
                lab.end(pod)
        assert lab.wrong == []


def ran(user: RentedUser, lab: RunpodMock) -> None:
    """Launch a task, stop, start, and look for what it left."""
    (user.clone / "t.yaml").write_text("run: |\n  echo on $(hostname -I)- >~/kept; echo x >/opt/lost; cat ~/kept\n")
    user.run(*user.up(), timeout=LONG_S)
    done = user.run("launch", "t.yaml", "-c", user.stack, "-y", timeout=LONG_S)
    assert b"on -" in done.out and user.statuses() == {"n0": "UP"}, done.told()
    told = user.run("exec", "env; cat ~/.ssh/environment", "-c", user.stack, timeout=LONG_S).told()
    assert "RUNPOD_POD_ID=" in told and KEY not in told and POD_KEY not in told
    user.run("stop", "-y", timeout=LONG_S)
    user.run("start", "-y", timeout=LONG_S)
    again = user.run("exec", "cat ~/kept; ls /opt/lost || true", "-c", user.stack, timeout=LONG_S)
    assert b"on -" in again.out and b"cannot access" in again.out, again.told()
    user.run("down", "-c", user.stack, "-y", timeout=LONG_S)
    assert not lab.pods
