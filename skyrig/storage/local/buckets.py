"""Buckets of a local server: made and removed. A bucket is a folder below `data`, and its objects are the files in it.

It is made through S3, since the server keeps with it whose it is; looking and removing needs no server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skyrig.cluster import buckets as names
from skyrig.fleet.local.files import remove_tree
from skyrig.storage import rclone
from skyrig.storage.local import server
from skyrig.storage.local.leftovers import UPLOADS
from skyrig.storage.local.server import BucketServerError, Keys
from skyrig.storage.remote import Remote


def make(folder: Path, bucket: str, keys: Keys) -> dict[str, Any]:
    """Have this bucket; one that is there, with what is in it, is taken over. Gives its `folder` and `url`."""
    names.check_name("local", bucket)
    started = server.start(folder, keys)
    options = {"type": "s3", "provider": "Other", "endpoint": started["endpoint"], "no_check_bucket": "false"}
    rclone.run(["mkdir", f"skyrig:{bucket}"], {"skyrig": Remote(options, keys.options)}, what=f"make bucket {bucket}")
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
