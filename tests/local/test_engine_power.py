"""Power as desired state, by plain Pulumi and the config alone: what stops, starts and goes, and what stays."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_engine import LocalEngine, LocalStack, changed
from local_programs import processes_of

from skyrig.cluster.description import Node
from skyrig.fleet.local.files import wait_for
from skyrig.fleet.local.layout import NodeFolder
from skyrig.fleet.local.switch import check

pytestmark = pytest.mark.e2e


@pytest.fixture
def stack(engine: LocalEngine, best_level: str) -> Iterator[LocalStack]:
    """A new stack at the best level, destroyed after the test."""
    made = engine.stack(best_level)
    yield made
    made.remove()


def powers(stack: LocalStack) -> dict[str, str]:
    """Power of each node that has a folder, as the node itself has it."""
    return {folder.name: NodeFolder(folder).power() for folder in stack.nodes_folder.glob("n*")}


def same(one: Node, other: Node) -> bool:
    """Whether two descriptions are of the same machine."""
    kept = ("id", "rank", "incarnation", "host_key", "address", "alias")
    return all(getattr(one, name) == getattr(other, name) for name in kept)


def server(stack: LocalStack, node_id: str) -> int:
    """Process of a node, once it heeds SIGTERM (its sessions are told of it then)."""
    state = NodeFolder(stack.nodes_folder / node_id).read_state() or {}
    return int(state["pid"])


@pytest.mark.soak
def test_power_is_what_the_config_says(stack: LocalStack) -> None:
    stack.up()
    made = stack.describe()
    for node in made.nodes:
        (stack.nodes_folder / node.id / "home" / "mine").touch()

    # stopped: in place, no drift, nothing runs
    stack.configure(power="stopped")
    told = stack.up()
    assert not changed(told, "+") and not changed(told, "-") and "~ 2 updated" in told
    assert powers(stack) == {"n0": "stopped", "n1": "stopped"}
    assert [processes_of(stack.nodes_folder / node) for node in ("n0", "n1")] == [[], []]
    assert {node.power for node in stack.describe().nodes} == {"stopped"}
    stack.up(None, "--refresh", "--expect-no-changes")

    # up again, although the network between the nodes is another one by now: the same nodes with their files
    network = check(stack.nodes_folder)
    if "pid" in network:
        os.kill(network["pid"], signal.SIGKILL)
    stack.configure(power="up")
    told = stack.up(None, "--refresh")
    assert not changed(told, "+") and not changed(told, "-")
    started = stack.describe()
    for before, after in zip(made.nodes, started.nodes, strict=True):
        assert same(before, after) and before.boot != after.boot and after.power == "up"
        assert (stack.nodes_folder / after.id / "home" / "mine").exists()
    assert powers(stack) == {"n0": "up", "n1": "up"}

    # a node that stops itself is no drift, and is started where that is asked for
    def told_to_stop() -> bool | None:
        os.kill(server(stack, "n1"), signal.SIGTERM)
        return powers(stack)["n1"] == "stopped" or None

    assert wait_for(told_to_stop)
    stack.up(None, "--refresh", "--expect-no-changes")
    assert powers(stack) == {"n0": "up", "n1": "stopped"}
    stack.configure(starts=1)
    stack.up()
    assert same(stack.describe().nodes[1], made.nodes[1]) and powers(stack)["n1"] == "up"

    # one that was killed is made anew, in the power that is wanted
    os.kill(server(stack, "n0"), signal.SIGKILL)
    stack.configure(power="stopped")
    told = stack.up(None, "--refresh")
    assert changed(told, "+") == {"n0"} and powers(stack) == {"n0": "stopped", "n1": "stopped"}
    again = stack.describe()
    assert not same(again.nodes[0], made.nodes[0]) and same(again.nodes[1], made.nodes[1])

    # down: nothing is left, and plain `pulumi up` says what would bring it back, at which price
    stack.configure(power="down")
    stack.up()
    assert not stack.nodes_folder.exists() and processes_of(stack.nodes_folder) == []
    told = stack.up(None, "--expect-no-changes")
    assert "is down by its config" in told and "2 nodes (CPU) on the local cloud, $0.00/h" in told
    assert Path(stack.engine.project / "stacks" / f"Pulumi.{stack.name}.yaml").exists()
