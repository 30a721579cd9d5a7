"""A cluster whose time to live is over, with no client alive: real engine, real nodes, a job that would go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from user import User, cluster_of, until

from skyrig.fleet.local.layout import NodeFolder

pytestmark = pytest.mark.e2e

TTL_S = 4
SET = """
import asyncio, sys, time
from skyrig.cluster.policy import TimeToLive
from skyrig.launch import client
from skyrig.stack import described
name, seconds = sys.argv[1:]
asyncio.run(client.ttl(described.describe(name), TimeToLive("8h", time.time() + float(seconds))))
"""
"""Sets seconds without another deployment, which may take longer than these."""


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user with a cluster of two nodes that is up."""
    with cluster_of(tmp_path, 2) as person:
        yield person


@pytest.mark.soak
def test_it_ends_at_its_time_and_says_so(user: User) -> None:
    name, head = user.stack, user.home / "local" / user.stack / "n0" / "home" / ".skyrig"
    config = user.clone / "stacks" / f"Pulumi.{name}.yaml"
    (user.clone / "t.yaml").write_text("num_nodes: 2\nrun: sleep 1000\n")
    told = user.run("launch", "t.yaml", "-c", name, "-d", "--ttl", "1h", "--max-hourly", "9").told()
    assert f"{name}: nothing to change" in told and f"{name} ends itself in " in told
    (before,) = user.json("status", "-c", name)["clusters"]
    assert before["ttl"]["action"] == "down" and 3400 < before["ttl"]["ends_at"] - time.time() <= 3601
    assert "skyrig:maxHourly: '9'" in config.read_text() and "skyrig:ttl: 1h until 20" in config.read_text()

    began = time.time()
    subprocess.run([sys.executable, "-c", SET, name, str(TTL_S)], cwd=user.clone, env=user.env, check=True, timeout=60)
    os.kill(int((head / "keeper.lock").read_text()), signal.SIGKILL)
    folders = [NodeFolder(path) for path in (user.home / "local" / name).glob("n*")]
    until(lambda: {folder.power() for folder in folders} == {"ended"}, "it goes down", 40)
    assert time.time() - began > TTL_S
    (gone,) = user.json("status", "-c", name)["clusters"]
    assert (gone["status"], gone["ttl"]) == ("DOWN", None)
    assert gone["reason"].startswith("its time to live of 8h is over at ")
    assert "skyrig:power: down" in config.read_text()
    assert [job["status"] for job in user.jobs()] == ["CANCELLED"]

    # it is in the ledger up to the moment at which it ended
    (spent,) = user.json("cost", "--all")["stacks"]
    assert (spent["name"], spent["power"], spent["usd"]) == (name, "down", 0)
