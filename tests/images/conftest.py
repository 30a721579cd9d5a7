"""Fixtures of the tests of images."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))

from keeper_cluster import KeeperCluster


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[KeeperCluster]:
    """A keeper and two nodes for one test that does things to them."""
    made = KeeperCluster(tmp_path, 2)
    yield made
    made.close()
