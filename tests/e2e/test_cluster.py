"""A cluster's life by plain pulumi and by invoke: growing, two stacks, records after the end, nothing left."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import User, until
from user import end_nodes

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user who has nothing yet, with a stack name of their own; what a test leaves is there for the next one."""
    folder = tmp_path_factory.mktemp("newcomer")
    person = User(folder, f"c{folder.stat().st_ino}")
    yield person
    end_nodes(person.home)


def alive(person: User) -> list[str]:
    """Names of this stack's nodes that live."""
    return [name for name, row in person.nodes().items() if row["status"] == "UP"]


@pytest.mark.soak
def test_growing_and_shrinking_changes_only_what_differs(newcomer: User, script: Callable[[str], Path]) -> None:
    stack = newcomer.stack
    newcomer.run("up", "-c", stack, "--nodes", "2")
    two = newcomer.nodes()
    newcomer.run("up", "-c", stack, "--nodes", "5")
    five = newcomer.nodes()
    assert sorted(five) == ["n0", "n1", "n2", "n3", "n4"]
    assert {name: five[name]["pid"] for name in two} == {name: row["pid"] for name, row in two.items()}
    assert {name: row["rank"] for name, row in five.items()} == {f"n{k}": k for k in range(5)}
    path = script("import os\nprint('I am', os.environ['SKYPILOT_NODE_RANK'])\n")
    done = newcomer.run("train", "--script", str(path), "--strategy", "plain", "-c", stack, "--nodes", "5")
    assert sorted(line for line in done.lines if line.startswith("(rank")) == [
        f"(rank {k}, n{k}) I am {k}" for k in range(5)
    ]
    newcomer.run("up", "-c", stack, "--nodes", "3")
    three = newcomer.nodes()
    assert sorted(three) == ["n0", "n1", "n2"]
    assert {name: row["pid"] for name, row in three.items()} == {name: five[name]["pid"] for name in three}


def test_plain_pulumi_destroy_leaves_nothing_but_records_that_answer_and_two_stacks_made_at_once_do_not_mix(
    newcomer: User, script: Callable[[str], Path]
) -> None:
    stack = newcomer.stack
    path = script("print('to be remembered')\n")
    done = newcomer.run("train", "--script", str(path), "--strategy", "plain", "--nodes", "2", "-c", stack)
    last = newcomer.jobs()[-1]["id"]
    assert f"job {last} " in done.err.decode()
    assert len(newcomer.nodes()) >= 2
    subprocess.run(
        ["pulumi", "destroy", "--yes"], cwd=newcomer.clone, env=newcomer.env, check=True, capture_output=True
    )
    assert newcomer.nodes() == {}
    until(lambda: not newcomer.processes(str(newcomer.home / "local" / stack)), "no process of the nodes")
    assert not (newcomer.home / "local" / stack).exists()
    keys = [file for file in (newcomer.home / "stacks" / stack).rglob("*") if file.is_file() and "key" in file.name]
    assert keys == []
    assert newcomer.jobs()[-1]["status"] == "SUCCEEDED"
    kept = newcomer.run("logs", "-c", stack)
    assert sum("to be remembered" in line for line in kept.lines) == 2

    second = f"{stack}b"
    path = script("import os, sys\nprint('in', sys.argv[1], os.environ['SKYPILOT_CLUSTER_INFO'])\n")
    calls = [  # a new stack has two nodes where nobody says how many, the other one had three
        newcomer.start("train", "--script", str(path), "--strategy", "plain", *nodes, "-c", name, "--", name)
        for name, nodes in ((stack, ("--nodes", "2")), (second, ()))
    ]
    for name, number, call in zip((stack, second), (last + 1, 1), calls, strict=True):
        out = call.communicate(timeout=120)[0].decode()
        assert call.returncode == 0, out
        assert f"job {number} " in out, "job ids never repeat on a stack"
        said = [line for line in out.splitlines() if line.startswith("(rank")]
        assert len(said) == 2, out
        assert all(f"in {name} " in line and f'"cluster_name": "{name}"' in line for line in said)
    newcomer.run("down", "-c", second, "-y")
    assert [name for name in alive(newcomer) if name in ("n0", "n1")] == ["n0", "n1"]
