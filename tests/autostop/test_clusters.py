"""Clusters that switch themselves off with no client alive: real engine, real nodes, real jobs."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from user import BIN, User, cluster_of, until

from skyrig.fleet.local.layout import NodeFolder

pytestmark = pytest.mark.e2e

TASK = "name: waiter\nnum_nodes: 2\nrun: while [ -e ~/stay ]; do sleep 0.1; done; echo ready; exit $CODE\n"
SET = """
import asyncio, sys
from skyrig.launch.link import keeper
from skyrig.stack import described
async def main(name, seconds):
    async with keeper(described.describe(name), prepare=True) as link:
        await link.ask({"op": "autostop", "setting": {"idle_s": float(seconds), "down": True}})
asyncio.run(main(*sys.argv[1:]))
"""
"""Sets what the command line has no words for: seconds."""


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user with a cluster of two nodes that is up."""
    with cluster_of(tmp_path, 2) as person:
        yield person


def status(user: User) -> dict[str, Any]:
    """What `status --json` says of the cluster."""
    (found,) = user.json("status", "-c", user.stack)["clusters"]
    return dict(found)


def nodes(user: User) -> set[str]:
    """Powers of the cluster's nodes, by their folders: looking costs nothing."""
    return {NodeFolder(path).power() for path in (user.home / "local" / user.stack).glob("n*")}


def power(user: User) -> str:
    """The word after skyrig:power in the stack's config."""
    text = (user.clone / "stacks" / f"Pulumi.{user.stack}.yaml").read_text()
    return text.partition("skyrig:power: ")[2].partition("\n")[0] or "up"


def pulumi(user: User, *words: str) -> str:
    """What plain `pulumi` says."""
    command = [str(BIN / "pulumi"), *words, "--stack", user.stack, "--non-interactive"]
    done = subprocess.run(command, cwd=user.clone, env=user.env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_unused_cluster_stops_then_goes_down_and_comes_back_when_asked(user: User) -> None:
    name = user.stack
    homes = [user.home / "local" / name / node / "home" for node in ("n0", "n1")]
    (user.clone / "t.yaml").write_text(TASK)
    launch = ("launch", "t.yaml", "-c", name, "-e")

    # 0 minutes with a job that runs: its follower has its exit code, then the nodes are stopped, and stay so
    done = user.run(*launch, "CODE=3", "-i", "0", check=3)
    assert b"ready" in done.out and b"stops by itself right after its last job" in done.err, done.told()
    until(lambda: nodes(user) == {"stopped"}, "it stops", 90)
    off = status(user)
    assert (off["status"], off["reason"][:40]) == ("STOPPED", "autostopped right after its last job at ")
    assert (off["autostop"]["idle_minutes"], off["autostop"]["down"]) == (0, False)
    assert power(user) == "stopped"
    assert [job["exit_code"] for job in user.jobs()] == [3]

    # it comes back with a node more, which its head knows without a job. A job runs: it is waited for, then the nodes
    # end themselves with no client alive
    for home in homes:
        (home / "stay").touch()
    user.run("up", "-c", name, "--nodes", "3")
    with sqlite3.connect(homes[0] / ".skyrig" / "jobs.db") as table:
        (known,) = table.execute("select value from facts where name = 'cluster'").fetchone()
    table.close()
    assert [node["id"] for node in json.loads(known)["nodes"]] == ["n0", "n1", "n2"]
    told = status(user)
    assert (told["status"], told["reason"], told["autostop"]["idle_minutes"]) == ("UP", "", 0)
    user.run(*launch, "CODE=0", "-d")
    subprocess.run([sys.executable, "-c", SET, name, "2"], cwd=user.clone, env=user.env, check=True, timeout=60)
    record = user.home / "stacks" / name / "records" / "2" / "record.json"
    until(lambda: json.loads(record.read_text())["status"] == "RUNNING", "the job runs")
    running = status(user)
    assert (running["status"], running["autostop"]["idle_for_minutes"]) == ("UP", 0)
    for home in homes:
        (home / "stay").unlink()
    until(lambda: nodes(user) == {"ended"}, "it goes down", 90)
    gone = status(user)
    assert (gone["status"], gone["nodes"], power(user)) == ("DOWN", [], "down")
    assert gone["reason"].startswith("taken down by autostop after 0.0333 idle minutes at ")
    folder = str(user.home / "local" / name)
    until(lambda: not user.processes(folder), "nothing of it runs")
    assert [(job["id"], job["exit_code"]) for job in user.jobs()] == [(1, 3), (2, 0)]
    assert b"ready" in user.run("logs", "-c", name).out
    assert b"is not up" in user.run("exec", "t.yaml", "-c", name, "-e", "CODE=0", check=2).err

    # plain pulumi makes nothing; who asks for it has it anew
    assert "deleted" in pulumi(user, "up", "--yes", "--skip-preview") and not Path(folder).exists()
    user.run(*launch, "CODE=0")
    again = status(user)
    assert (again["status"], again["autostop"], power(user)) == ("UP", None, "up")
    assert [job["id"] for job in user.jobs()] == [1, 2, 3]
