"""Fixtures of the tests of jobs that go on while a node is replaced."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))

from elastic_cluster import ElasticCluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ElasticCluster]:
    """A keeper and three nodes."""
    made = ElasticCluster(tmp_path, 3)
    yield made
    made.close()
