"""Each test of rig has a clone of its own."""

from pathlib import Path

import pytest
from rig_clone import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh copy of rig, with no Python, no engine and nothing installed."""
    return Clone(tmp_path)
