"""Clusters for faults: nodes in namespaces of their own, reached by a user's commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from user import User, cluster_of

from faults.node import FaultyNode, nodes_of


@pytest.fixture(scope="session")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user with a cluster of three nodes, for all tests that leave it whole."""
    with cluster_of(tmp_path_factory.mktemp("faults"), 3) as person:
        yield person


@pytest.fixture
def nodes(user: User) -> list[FaultyNode]:
    """The nodes of that cluster, the head first; the test is skipped where they have no namespaces."""
    return list(nodes_of(user.home, user.stack).values())
