"""The controller of managed jobs on a node of its own: the same commands, done there."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from user import User, end_nodes

pytestmark = pytest.mark.e2e

SECRET = "s3cret-for-the-job"
TASK = """
name: far
workdir: {work}
secrets: {{TOKEN: null}}
run: |
  echo "says $(cat said.txt) with $(printf %s "$TOKEN" | wc -c) on $SKYPILOT_NUM_NODES"
  {more}
"""


@pytest.fixture
def person(tmp_path: Path) -> Iterator[User]:
    """Somebody whose controller has a node of its own."""
    somebody = User(tmp_path, f"s{os.getpid()}")
    somebody.home.mkdir()
    (somebody.home / "config.yaml").write_text("jobs: {controller: stack}\n")
    somebody.env["TOKEN"] = SECRET
    try:
        yield somebody
    finally:
        seat = somebody.home / "local" / "skyrig-controller"
        for home in (*seat.glob("*/home/.skyrig/seat"), somebody.home):
            _end(somebody, home)
            end_nodes(home)


def _end(person: User, home: Path) -> None:
    """End what runs for a home."""
    mark = f"SKYRIG_HOME={home}".encode()
    for pid in person.processes("skyrig.control"):
        try:
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
        except OSError:
            continue


def task(person: User, more: str) -> str:
    """A task file with a workdir."""
    work = person.clone.parent / "work"
    work.mkdir(exist_ok=True)
    (work / "said.txt").write_text("hello")
    file = person.clone.parent / "far.yaml"
    file.write_text(TASK.format(work=work, more=more))
    return str(file)


def jobs(person: User) -> list[dict[str, Any]]:
    """Rows of jobs.queue."""
    rows: list[dict[str, Any]] = json.loads(person.run("jobs.queue", "--json").out)["jobs"]
    return rows


def until(person: User, status: str, index: int, seconds: float = 90) -> dict[str, Any]:
    """The row of a job once it has a status."""
    deadline = time.monotonic() + seconds
    while (row := jobs(person)[index])["status"] != status:
        assert time.monotonic() < deadline, row
        time.sleep(0.5)
    return row


@pytest.mark.soak
def test_a_job_is_launched_shown_followed_and_cancelled_from_afar(person: User) -> None:
    assert jobs(person) == []
    said = person.run("jobs.launch", task(person, "sleep 1000"), "--secret", "TOKEN", "-y", "-d", timeout=180)
    assert said.out.decode().split()[-1] == "1"
    assert SECRET not in said.told()
    assert not (person.home / "control").exists()
    until(person, "RUNNING", 0)
    names = [each["name"] for each in json.loads(person.run("status", "--json").out)["clusters"]]
    assert names == ["skyrig-controller", "far-1"]
    assert "managed job 1" in person.run("down", "-c", "skyrig-controller", "-y", check=2).told()
    following = person.start("jobs.logs", "-j", "1")
    assert following.stdout is not None
    while (line := following.stdout.readline().decode()).find("says hello") < 0:
        assert line, "it has ended"
    assert f"with {len(SECRET)} on 1" in line
    following.send_signal(signal.SIGINT)
    assert following.wait(30) == 0
    assert "cancelled: 1" in person.run("jobs.cancel", "-j", "1", "-y").out.decode()
    until(person, "CANCELLED", 0)
    deadline = time.monotonic() + 60
    while (down := person.run("down", "-c", "skyrig-controller", "-y", check=None)).code == 2:
        assert time.monotonic() < deadline, down.told()
        time.sleep(0.5)
    assert down.code == 0, down.told()
    assert not person.processes(str(person.home / "local"))


@pytest.mark.soak
def test_a_job_that_is_followed_from_afar_ends_with_its_own_code(person: User) -> None:
    done = person.run("jobs.launch", task(person, "exit 7"), "--secret", "TOKEN", "-y", check=None, timeout=180)
    assert done.code == 7, done.told()
    assert f"says hello with {len(SECRET)} on 1" in done.out.decode()
    row = jobs(person)[0]
    assert (row["id"], row["status"], row["exit_code"]) == (1, "FAILED", 7)
    assert "says hello" in person.run("jobs.logs", "-j", "1", check=7).out.decode()
    assert "far-1: 3 deleted" in person.run("jobs.logs", "-j", "1", "--controller").out.decode()
    saved = person.run("jobs.logs", "-j", "1", "--sync-down", str(person.clone.parent / "saved")).lines
    assert "says hello" in Path(saved[0]).read_text()
    assert person.run("jobs.cancel", "-j", "1", "-y", check=2)
