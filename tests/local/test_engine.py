"""The local cloud through the real Pulumi engine: grow, shrink, lose, repair, destroy."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest
from local_engine import LocalEngine, LocalStack, changed
from local_programs import bounded, processes_of

from skyrig.cluster.description import ClusterDescription

pytestmark = pytest.mark.e2e


def enter(cluster: ClusterDescription, rank: int, command: str) -> str:
    """What a command says on a node, reached with nothing but the description."""
    node = cluster.nodes[rank]
    known = asyncssh.import_known_hosts(f"[{node.host}]:{node.port} {node.host_key}\n")
    key = asyncssh.import_private_key(cluster.ssh.private_key)

    async def run() -> str:
        options = {"username": node.user, "client_keys": [key], "known_hosts": known, "config": None}
        async with asyncssh.connect(node.host, node.port, **options) as connection:
            return str((await connection.run(command, check=True)).stdout)

    return bounded(run())


def pid(stack: LocalStack, node_id: str) -> int:
    """Process of a node."""
    return int(json.loads((stack.nodes_folder / node_id / "node.json").read_text())["pid"])


def only_the_private_key_is_secret(stack: LocalStack) -> None:
    """In what is shown of a stack of two nodes, and in its state."""
    shown = stack.output()
    assert shown["ssh"].pop("private_key") == "[secret]"
    assert "[secret]" not in str(shown) and shown["nodes"][0]["id"] == "n0"
    private = stack.describe().ssh.private_key
    assert private.startswith("-----BEGIN OPENSSH")
    state = stack.state()
    assert private.splitlines()[1] not in str(state)
    providers = [one["inputs"]["__provider"] for one in state["deployment"]["resources"] if "__provider" in str(one)]
    assert len(providers) == 4 and all(len(provider) < 120 for provider in providers)


@pytest.mark.soak
def test_a_cluster_grows_shrinks_and_is_repaired(stack: LocalStack) -> None:
    """With every test run this is tests/conformance's, by our own verbs."""
    told = stack.up()
    assert changed(told, "+") == {"n0", "n1"}
    cluster = stack.describe()
    assert [(node.id, node.rank) for node in cluster.nodes] == [("n0", 0), ("n1", 1)]

    told = stack.up(["n0", "n1", "n2", "n3", "n4"])
    assert changed(told, "+") == {"n2", "n3", "n4"} and not changed(told, "-")
    told = stack.up(["n0", "n1", "n3"])
    assert changed(told, "-") == {"n2", "n4"} and not changed(told, "+")
    grown = stack.describe()
    assert [node.id for node in grown.nodes] == ["n0", "n1", "n3"] and grown.nodes[:2] == cluster.nodes
    stack.preview("--expect-no-changes")

    os.kill(pid(stack, "n1"), signal.SIGKILL)
    assert changed(stack.refresh(), "-") == {"n1"}
    told = stack.up()
    assert changed(told, "+") == {"n1"} and not changed(told, "-")
    repaired = stack.describe()
    assert repaired.nodes[1].incarnation != cluster.nodes[1].incarnation
    assert (repaired.nodes[0], repaired.nodes[2]) == (grown.nodes[0], grown.nodes[2])


@pytest.mark.soak
def test_a_destroy_leaves_nothing_whatever_became_of_the_nodes(stack: LocalStack) -> None:
    told = stack.up()
    assert changed(told, "+") == {"n0", "n1"}
    only_the_private_key_is_secret(stack)
    assert enter(stack.describe(), 1, "echo $SKYRIG_NODE_ID").strip() == "n1"
    stack.preview("--expect-no-changes")

    # with a node that died, one whose notes are lost, and one of which the engine does not know: as after an engine
    # that was killed while it created a node
    os.kill(pid(stack, "n0"), signal.SIGKILL)
    (stack.nodes_folder / "n1" / "node.json").unlink()
    lost = stack.nodes_folder / "n7"
    (lost / "home").mkdir(parents=True)
    (lost / "alive.lock").touch()
    stack.destroy()
    assert not stack.nodes_folder.exists() and processes_of(stack.nodes_folder) == []


@pytest.mark.soak
def test_another_shape_replaces_nodes(engine: LocalEngine) -> None:
    stack = engine.stack("plain")
    try:
        stack.up(["n0"])
        first = stack.describe()
        stack.configure(accelerators="H100:4", cpus=3)
        stack.up()
        second = stack.describe()
        assert first.nodes[0].incarnation != second.nodes[0].incarnation
        assert second.nodes[0].accelerators.count == 4 and second.nodes[0].accelerators.declared
        assert second.nodes[0].cpus == 3 and len(processes_of(stack.nodes_folder)) == 1
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def empty(engine: LocalEngine) -> Iterator[LocalStack]:
    """A stack that nothing is made of."""
    made = engine.stack("plain")
    yield made
    made.forget()


@pytest.fixture
def spoiled(empty: LocalStack) -> Iterator[LocalStack]:
    """The same, to be given a bad config by one test."""
    file = empty.engine.project / "stacks" / f"Pulumi.{empty.name}.yaml"
    before = file.read_text()
    yield empty
    file.write_text(before)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("nods", "[n0]", "unknown config key skyrig:nods (did you mean skyrig:nodes?)"),
        ("accelerators", "H100:many", "accelerators 'H100:many'"),
        ("isolation", "plane", "did you mean 'plain'?"),
        ("power", "of", "skyrig:power: 'of' is not known"),
        ("starts", "-1", "no whole number of starts"),
        ("cpus", "two", "'two' is no whole number of cores"),
    ],
)
def test_bad_config_is_one_line_and_nothing_is_made(spoiled: LocalStack, key: str, value: str, words: str) -> None:
    spoiled.configure(**{key: value})
    told = spoiled.engine.run("up", "--yes", "--skip-preview", "--stack", spoiled.name, check=False)
    assert words in told and "Traceback" not in told and "unhandled" not in told
    assert not spoiled.nodes_folder.exists() and "LocalNode" not in told


@pytest.mark.soak
def test_two_stacks_side_by_side(local_stack: Callable[[int, str], ClusterDescription], engine_level: str) -> None:
    one, other = local_stack(1, engine_level), local_stack(1, engine_level)
    for cluster in (one, other):
        enter(cluster, 0, f"echo {cluster.name} > mine")
    for cluster in (one, other):
        assert enter(cluster, 0, "cat mine; ls").split() == [cluster.name, "mine"]
    assert one.ssh.private_key != other.ssh.private_key
    assert Path(one.records.removeprefix("file://")) != Path(other.records.removeprefix("file://"))
