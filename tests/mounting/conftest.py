"""Fixtures of the tests of buckets on nodes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting_store import Home, Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An S3 server that runs."""
    one = Store(tmp_path_factory.mktemp("store") / "data")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A node's home; nothing of it stays mounted."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("needs Linux, root and /dev/fuse")
    one = Home(tmp_path / "home")
    yield one
    one.close()
