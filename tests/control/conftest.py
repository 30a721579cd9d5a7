"""A SKYRIG_HOME of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
