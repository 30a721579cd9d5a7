"""A SKYRIG_HOME of its own for every test."""

from pathlib import Path

import pytest
from ledger_site import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A SKYRIG_HOME of the test's own; nothing of the user's own Pulumi is seen."""
    for name in ("PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    return Site(tmp_path / "home")
