"""A node dies, somebody asks for a job, and only then somebody else runs `up`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from user import cluster_of

from faults.kill import Killed
from faults.node import nodes_of

pytestmark = pytest.mark.e2e


def test_who_waits_for_a_dead_node_gets_the_new_one(tmp_path: Path) -> None:
    task = tmp_path / "where.yaml"
    task.write_text("num_nodes: 2\nrun: echo rank $SKYPILOT_NODE_RANK is here\n")
    with cluster_of(tmp_path / "user", 2) as person:
        dead = nodes_of(person.home, person.stack)["n1"].server
        assert dead is not None
        Killed(dead).do()
        waiting = person.start("exec", str(task), "-c", person.stack)
        person.run("up", "-c", person.stack, "-y")
        repaired = time.monotonic()
        said, told = waiting.communicate(timeout=50)
        assert waiting.returncode == 0, (said, told)
        assert said.count(b"is here") == 2
        assert time.monotonic() - repaired < 20, "the old address was waited for"
