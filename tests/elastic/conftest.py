"""Fixtures of the tests of jobs that go on while a node is replaced."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))

from elastic_cluster import ElasticCluster


@pytest.fixture(scope="session")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticCluster]:
    """A keeper and three nodes."""
    made = ElasticCluster(tmp_path_factory.mktemp("e"), 3)
    yield made
    made.close()


@pytest.fixture
def cluster(three_nodes: ElasticCluster) -> Iterator[ElasticCluster]:
    """The same for one test that does things to it."""
    yield three_nodes
    three_nodes.heal()
