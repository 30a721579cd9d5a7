"""Fixtures of the steward's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))

from keeper_cluster import KeeperCluster
from served import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A keeper, four nodes and a steward, for one module of tests: each leaves no service behind."""
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
    yield served
    served.stop()
