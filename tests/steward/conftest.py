"""Fixtures of the steward's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))

from keeper_cluster import KeeperCluster
from served import Served


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, haproxy: str) -> Iterator[Served]:
    """A keeper, four nodes and a steward, for all of these tests: each leaves no service behind."""
    cluster = KeeperCluster(tmp_path_factory.mktemp("c"), 4)
    made = Served(cluster)
    try:
        made.ensure()
        yield made
    finally:
        made.close()
        cluster.close()


@pytest.fixture
def service(served: Served) -> Iterator[Served]:
    """The same for one test; what it applied is gone after it."""
    served.ensure()
    served.count = len(served.cluster.nodes)
    yield served
    served.stop()
