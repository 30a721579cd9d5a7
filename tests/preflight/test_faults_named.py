"""The whole way on a cluster of the local cloud: each fault is named, the healthy nodes are not, and `up` mends it.

How long 50 preflights of 8 nodes take is measured by bench/preflight.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from user import User, end_nodes

TASK = "name: fit\nnum_nodes: 3\nconfig:\n  skyrig:\n    preflight: refuse\nrun: echo begun\n"


def slow_down(person: User, node: str) -> None:
    """Have all that a node sends go through a narrow bucket, in its own network."""
    pid = person.nodes()[node]["pid"]
    words = ["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "40mbit", "burst", "64kb", "latency", "200ms"]
    subprocess.run(["nsenter", "-t", str(pid), "-n", *words], check=True)


def looked(person: User, *words: str, code: int) -> dict[str, Any]:
    """A preflight's report."""
    done = person.run("preflight", "-c", person.stack, "--json", *words, check=code)
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.e2e
@pytest.mark.skipif(not (shutil.which("tc") and shutil.which("nsenter")), reason="needs tc and nsenter")
def test_each_fault_is_named_and_up_makes_those_nodes_anew(tmp_path: Path) -> None:
    person = User(tmp_path, f"fit{tmp_path.name[-8:].replace('_', '')}")
    stack = person.stack
    try:
        person.run("up", "-c", stack, "--nodes", "3", "--gpus", "H100:2", "--infra", "local")
        before = person.json("status", "-c", stack)["clusters"][0]
        if before["isolation"] != "namespaces":
            pytest.skip("nodes have no namespaces of their own on this machine")
        slow_down(person, "n1")
        person.run("local.hide", f"{stack}/n2")
        person.run("local.clock", f"{stack}/n2", "--by", "-90")
        found = looked(person, code=4)
        assert [node["status"] for node in found["nodes"]] == ["ok", "bad", "bad"], found
        (link,), (device, *said, clock) = (found["nodes"][rank]["reasons"] for rank in (1, 2))
        assert link.startswith("its link carries ")
        assert device == "it has 1 of 2 H100 accelerators"
        assert all(line.startswith("nvidia-smi") for line in said), said  # as it does of one that is off its bus
        assert clock.startswith(("its clock is 90.", "its clock is 89."))
        assert clock.endswith(" s behind the others'")
        assert found["cordoned"] == ["n1", "n2"]
        cordoned = person.json("status", "-c", stack)["clusters"][0]["nodes"]
        assert [bool(node["cordoned"]) for node in cordoned] == [False, True, True]
        person.run("up", "-c", stack)
        (tmp_path / "fit.yaml").write_text(TASK)
        ran = person.run("launch", str(tmp_path / "fit.yaml"), "-c", stack)
        assert ran.out.count(b"begun") == 3, ran.told()
        assert b"preflight: all nodes are fit" in ran.out
        after = person.json("status", "-c", stack)["clusters"][0]["nodes"]
        assert [node["cordoned"] for node in after] == ["", "", ""]
        kept = sorted(person.home.rglob(f"{stack}/**/preflight.json"))
        assert {json.loads(file.read_text())["status"] for file in kept} == {"bad", "ok"}
    finally:
        end_nodes(person.home)
