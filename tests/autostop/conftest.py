"""A keeper and its nodes as in the keeper's own tests, whose power is a line in a file of each node."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))

from autostop_cluster import AutostopCluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[AutostopCluster]:
    """A keeper and two nodes for one test."""
    made = AutostopCluster(tmp_path, 2)
    yield made
    made.close()
