"""Ports of a cluster by the commands: opened by what a task says or plainly does, found by `status`, and kept."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from user import User, end_nodes, until

from skyrig.cluster.ports import ranges

pytestmark = pytest.mark.e2e


def free_port() -> int:
    """A port that is free now; in the node, and most probably for the host too."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        number: int = found.getsockname()[1]
        return number


def fetched(endpoint: str) -> bytes | None:
    """The page at HOST:PORT; None where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{endpoint}/", timeout=5) as answer:
            page: bytes = answer.read()
            return page
    except (urllib.error.URLError, ConnectionError):
        return None


def machines(person: User) -> dict[str, str]:
    """Incarnation by node."""
    folders = (person.home / "local" / person.stack).glob("n*")
    return {folder.name: json.loads((folder / "node.json").read_text())["incarnation"] for folder in folders}


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[User]:
    """A user who has nothing yet, with a stack name of their own."""
    person = User(tmp_path, f"e{os.getpid()}-{time.monotonic_ns() % 100000}")
    yield person
    end_nodes(person.home)


@pytest.mark.soak
def test_a_served_port_has_an_endpoint_for_as_long_as_the_cluster_is_there(newcomer: User, tmp_path: Path) -> None:
    port, other = str(free_port()), str(free_port())
    person, stack = newcomer, ["-c", newcomer.stack]

    # a task that says nothing of ports
    task = tmp_path / "serve.yaml"
    task.write_text(f"run: |\n  cd ~\n  echo here > index.html\n  python -m http.server {port}\n")
    told = person.run("launch", str(task), *stack, "-d").err.decode()
    assert told.count(f"`run` serves on port {port} (http.server), and no ports are named: opening it") == 1
    before = machines(person)
    (endpoint,) = person.run("status", *stack, "--endpoint").lines
    assert endpoint.startswith("127.0.0.1:")
    assert until(lambda: fetched(endpoint), "the server answers") == b"here\n"
    words = ["status", person.stack, "--endpoint", port]  # in SkyPilot's order
    skyrig = subprocess.run(
        [sys.executable, "-m", "skyrig.cli", *words],
        cwd=person.clone,
        env=person.env,
        capture_output=True,
        check=True,
    )
    assert skyrig.stdout.decode() == f"{endpoint}\n"
    again = person.run("launch", str(task), *stack, "-d")
    assert b"1 node (CPU)" not in again.err, "nothing was to be opened: the engine was not asked"
    person.run("cancel", *stack, "--all")
    assert until(lambda: fetched(endpoint) is None, "nobody answers any more")

    # another task's port comes beside it
    quiet = tmp_path / "quiet.yaml"
    quiet.write_text("run: 'true'\n")
    person.run("launch", str(quiet), *stack, "-d", "--ports", other)
    (row,) = person.json("status", *stack)["clusters"]
    assert row["endpoints"][port] == endpoint and set(row["endpoints"]) == {port, other}
    config = (person.clone / "stacks" / f"Pulumi.{person.stack}.yaml").read_text()
    assert f"skyrig:ports: {','.join(ranges([int(port), int(other)]))}" in config.replace("'", "")
    assert machines(person) == before
    several = person.run("status", *stack, "--endpoint", check=2)
    assert b"several open ports" in several.err and several.err.count(b"\n") == 1

    # the same place after a stop
    person.run("stop", *stack)
    assert b"is stopped" in person.run("status", *stack, "--endpoint", port, check=2).err
    person.run("start", *stack)
    person.run("launch", str(task), *stack, "-d")
    assert person.run("status", *stack, "--endpoint", port).lines == [endpoint]
    assert until(lambda: fetched(endpoint), "the server answers again") == b"here\n"
    assert machines(person) == before
