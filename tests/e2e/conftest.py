"""Users with clusters that are up, and scripts for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from user import ROOT, User, until

__all__ = ["ROOT", "User", "ranks_in", "until"]


@pytest.fixture
def user(two_nodes_up: User) -> User:
    """A user with a cluster of two CPU nodes that is up and stays whole."""
    return two_nodes_up


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
