"""Fixtures of the supervisor's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervised import Rank


@pytest.fixture
def rank(tmp_path: Path) -> Iterator[Rank]:
    """A rank that is ended, and proven to have left nothing, after the test."""
    if not sys.platform.startswith("linux"):
        pytest.skip("these tests find processes through /proc")
    one = Rank(tmp_path)
    yield one
    one.close()
