"""Users with clusters that are up, and scripts for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from user import ROOT, User, cluster_of, until

__all__ = ["ROOT", "User", "ranks_in", "until"]


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user with a cluster of two CPU nodes that is up, for one module of tests; taken away again with its last."""
    with cluster_of(tmp_path_factory.mktemp("user"), 2) as person:
        yield person


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a training script into a folder of its own and returns its path."""

    def write(text: str, name: str = "train.py") -> Path:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        return folder / name

    return write


def ranks_in(lines: Sequence[str]) -> set[str]:
    """The `(rank K, NODE)` prefixes that occur."""
    return {line.partition(")")[0] + ")" for line in lines if line.startswith("(rank ")}
