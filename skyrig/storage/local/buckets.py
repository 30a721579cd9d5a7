"""Buckets of a local server: made and removed. A bucket is a folder below `data`, and its objects are the files in it.

It is made through S3, since the server keeps with it whose it is; looking and removing needs no server.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from skyrig.cluster import buckets as names
from skyrig.fleet.local.files import remove_tree
from skyrig.storage import programs
from skyrig.storage.local import server
from skyrig.storage.local.server import BucketServerError, Keys

UPLOADS = ".sgwtmp"
"""Folder in a bucket's folder where the server puts uploads until they are whole. It is no object."""

_LIMIT_S = 60.0


def make(folder: Path, bucket: str, keys: Keys) -> dict[str, Any]:
    """Have this bucket; one that is there, with what is in it, is taken over. Gives its `folder` and `url`."""
    names.check_name("local", bucket)
    started = server.start(folder, keys)
    environment = {
        **os.environ,
        "RCLONE_CONFIG": "",  # no config file of the user's
        "RCLONE_CONFIG_SKYRIG_TYPE": "s3",
        "RCLONE_CONFIG_SKYRIG_PROVIDER": "Other",
        "RCLONE_CONFIG_SKYRIG_ENDPOINT": started["endpoint"],
        "RCLONE_CONFIG_SKYRIG_ACCESS_KEY_ID": keys.access_key_id,
        "RCLONE_CONFIG_SKYRIG_SECRET_ACCESS_KEY": keys.secret_access_key,
    }
    command = [str(programs.rclone()), "mkdir", f"skyrig:{bucket}", "--retries=1", "--low-level-retries=3"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BucketServerError(f"bucket {bucket} cannot be made: {said[-300:]}")
    return look(folder, bucket)


def look(folder: Path, bucket: str) -> dict[str, Any]:
    """The bucket's `folder` and `url`; nothing where it is not there."""
    there = server.data(folder) / bucket
    return {"folder": str(there), "url": f"s3://{bucket}"} if there.is_dir() else {}


def remove(folder: Path, bucket: str, *, contents: bool = False) -> dict[str, Any]:
    """Remove the bucket; BucketServerError where something is in it, unless its `contents` are to go too. Nothing where
    there is none."""
    names.check_name("local", bucket)
    there = server.data(folder) / bucket
    if not there.is_dir():
        return {}
    if not contents and any(entry.name != UPLOADS for entry in there.iterdir()):
        raise BucketServerError(f"bucket {bucket} is not empty", hint="remove what is in it first")
    remove_tree(there)
    remove_tree(server.sidecar(folder) / bucket)
    return {}


def forget(folder: Path) -> dict[str, Any]:
    """End the server, and remove its folder if no bucket is left in it: what was kept stays."""
    server.stop(folder)
    there = server.data(folder)
    if not folder.is_dir() or (there.is_dir() and any(there.iterdir())):
        return {}
    remove_tree(folder)
    return {}
