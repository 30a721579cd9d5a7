"""Each test of rig has a clone of its own."""

import subprocess
from pathlib import Path

import pytest
from rig_clone import PYTHON, Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh copy of rig, with no Python, no engine and nothing installed."""
    return Clone(tmp_path)


@pytest.fixture(scope="session")
def empty_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip alone."""
    folder = tmp_path_factory.mktemp("venv") / "empty"
    subprocess.run([PYTHON, "-m", "venv", folder], check=True)
    return folder
