"""A clone of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clone import Clone, new_clone


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A clone with nothing in it yet; whatever nodes a test leaves are ended."""
    with new_clone(tmp_path) as made:
        yield made
