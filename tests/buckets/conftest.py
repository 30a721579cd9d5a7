"""Object storage of the local cloud: servers and data stacks in a data folder of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skyrig import places
from skyrig.storage import programs
from skyrig.storage.local import server

ROOT = Path(__file__).parents[2]
KEYS = server.Keys("skyrig-test", "a-secret-of-forty-characters-0123456789a")


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


Rclone = Callable[..., str]


@pytest.fixture
def rclone() -> Rclone:
    """Runs rclone against a server: `rclone(endpoint, keys, "cat", "remote:bucket/key", input=...)`; its output."""

    def run(endpoint: str, keys: server.Keys, *words: str, check: bool = True, **more: str) -> str:
        remote = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": endpoint,
            "ACCESS_KEY_ID": keys.access_key_id,
            "SECRET_ACCESS_KEY": keys.secret_access_key,
        }
        kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        env = kept | {"RCLONE_CONFIG": ""} | {f"RCLONE_CONFIG_REMOTE_{key}": value for key, value in remote.items()}
        command = [str(programs.rclone()), *words, "--retries=1", "--low-level-retries=1"]
        done = subprocess.run(
            command, env=env | more.pop("env", {}), capture_output=True, text=True, timeout=60, check=False, **more
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + ("" if check else done.stderr)

    return run
