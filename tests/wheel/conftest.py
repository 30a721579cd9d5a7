"""One wheel and one environment for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from user import end_nodes
from wheel_venv import Installed, built


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return built("wheel", tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Skyrig as somebody has it who installed the wheel; clusters that tests leave are taken away."""
    made = Installed(tmp_path_factory.mktemp("installed"), wheel)
    yield made
    end_nodes(made.home)
