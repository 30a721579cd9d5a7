"""Uploads that were never finished, which nobody sees and which take room: removed, as a cloud's lifecycle does it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from skyrig.storage import rclone
from skyrig.storage.remote import Remote

UPLOADS = ".sgwtmp"
"""Folder in a bucket's folder where the server puts uploads until they are whole. It is no object."""

KEPT_DAYS = 7
"""How long an upload stays after its last part, as in the buckets of the clouds."""

_EVERY_S = 86400.0


def clear(data: Path, noted: Path, endpoint: str, secrets: dict[str, str]) -> None:
    """Have the server at `endpoint`, whose buckets are the folders in `data`, drop old uploads; once a day, of which
    the file `noted` tells. StorageError where it does not."""
    if noted.exists() and time.time() < noted.stat().st_mtime + _EVERY_S:
        return
    remote = Remote({"type": "s3", "provider": "Other", "endpoint": endpoint}, secrets)
    for uploads in data.glob(f"*/{UPLOADS}/multipart"):
        if any(uploads.iterdir()):
            name = uploads.parents[1].name
            call = ["rc", "--loopback", "backend/command", "command=cleanup", f"fs=skyrig:{name}"]
            age = json.dumps({"max-age": f"{KEPT_DAYS * 24}h"})
            rclone.run([*call, f"opt={age}"], {"skyrig": remote}, what=f"drop unfinished uploads of {name}")
    noted.touch()
