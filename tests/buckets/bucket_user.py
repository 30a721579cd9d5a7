"""Who uses buckets in tests: rclone with keys, and nothing of the tester's own configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from skyrig.storage import programs
from skyrig.storage.local import server

KEYS = server.Keys("skyrig-test", "a-secret-of-forty-characters-0123456789a")

Rclone = Callable[..., str]


def run_rclone(endpoint: str, keys: server.Keys, *words: str, check: bool = True, **more: str) -> str:
    """Run rclone with the remote `remote:` at this endpoint; its output, with its errors where it may fail."""
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
