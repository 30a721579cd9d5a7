"""Object storage of the local cloud: servers and data stacks in a data folder of the test's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket_user import Rclone, run_rclone

from skyrig import places
from skyrig.storage.local import server

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """SKYRIG_HOME of the test; no bucket server of it runs on afterwards."""
    monkeypatch.setenv("SKYRIG_CACHE", str(places.cache()))
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for folder in (tmp_path / "home" / "storage").glob("*"):
        server.stop(folder)


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with the real program, which is the current folder."""
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    root = tmp_path / "project"
    (root / "stacks").mkdir(parents=True)
    for file in ("Pulumi.yaml", "stacks/__main__.py"):
        shutil.copy(ROOT / file, root / file)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def rclone() -> Rclone:
    """Runs rclone against a server: `rclone(endpoint, keys, "cat", "remote:bucket/key", input=...)`; its output."""
    return run_rclone
