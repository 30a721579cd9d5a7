"""Fixtures of the keeper's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper_cluster import KeeperCluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperCluster]:
    """A keeper and two nodes, for one module of tests."""
    made = KeeperCluster(tmp_path_factory.mktemp("c"), 2)
    yield made
    made.close()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[KeeperCluster]:
    """The same for one test that does things to it."""
    made = KeeperCluster(tmp_path, 2)
    yield made
    made.close()
