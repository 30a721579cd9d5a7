"""Ports by plain Pulumi and the config alone: changed in place, back after the network was lost, closed again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_engine import LocalEngine, LocalStack, changed
from local_programs import LocalPrograms

from skyrig.fleet.local import ports, switch

pytestmark = pytest.mark.e2e


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A new stack of one node on level `namespaces`, destroyed after the test."""
    programs = LocalPrograms(tmp_path)
    if programs.run("probe", {"folder": str(tmp_path)})["level"] != "namespaces":
        pytest.skip("no namespaces for this user on this machine")
    made = LocalEngine(tmp_path / "engine").stack("namespaces")
    yield made
    made.remove()


@pytest.mark.soak
def test_ports_change_in_place_and_come_back_after_the_network_was_lost(stack: LocalStack) -> None:
    folder = stack.nodes_folder
    stack.configure(ports=8000)
    stack.up(["n0"])
    opened = ports.endpoints(folder)
    assert list(opened) == [8000]

    # one more: nothing but the ports changes, and the preview says so
    stack.configure(ports="8000,9000")
    steps = json.loads(stack.preview("--json"))["changeSummary"]
    assert steps.get("update") == 1 and not {"create", "replace", "delete"} & set(steps)
    told = stack.up()
    assert not changed(told, "+") and not changed(told, "-") and "~ 1 updated" in told
    both = ports.endpoints(folder)
    assert list(both) == [8000, 9000] and both[8000] == opened[8000]
    assert stack.describe().ports == ("8000", "9000")

    # another network, to which the same ports belong
    os.kill(switch.check(folder)["pid"], signal.SIGKILL)
    stack.up(None, "--refresh")
    assert ports.endpoints(folder) == both

    # none any more
    stack.configure(ports="")
    assert "LocalPorts" in stack.up()
    assert ports.endpoints(folder) == {}
