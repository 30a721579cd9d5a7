"""Nebius on loopback, and nobody's own credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nebius_cloud import NebiusCloud


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The person who runs this has no Nebius."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NEBIUS_CREDENTIALS_FILE", "NEBIUS_PROFILE", "NEBIUS_PROJECT_ID", "SKYRIG_NEBIUS_LOOPBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEBIUS_IAM_TOKEN", "a-token")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[NebiusCloud]:
    """A project in which there is nothing yet, for this process."""
    with NebiusCloud() as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        yield running
