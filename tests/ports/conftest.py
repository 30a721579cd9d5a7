"""The local cloud's programs, as its own tests have them, and a node in which something serves."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "local"))

from local_programs import LocalPrograms
from ports_node import ServingNode


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingNode]:
    """A node of level `namespaces` with the program of ports_served.py on its port 8000."""
    programs = LocalPrograms(tmp_path_factory.mktemp("ports"))
    if programs.run("probe", {"folder": str(programs.home)})["level"] != "namespaces":
        pytest.skip("no namespaces for this user on this machine")
    stack = f"p-{uuid.uuid4().hex[:8]}"
    yield ServingNode(programs, stack)
    programs.stop_all(stack)
