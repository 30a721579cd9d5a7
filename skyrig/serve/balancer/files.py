"""Files of the balancer: for us alone, and whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_LONGEST_FOLDER = 75
"""Bytes of the path of a folder in which HAProxy can make its sockets: it first gives them longer names."""


def write(path: Path, text: str) -> None:
    """Put `text` at `path`."""
    fresh = path.with_name(f"{path.name}.part")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def sockets(folder: Path) -> Path:
    """Where sockets lie: in `folder`, or where its path is too long for them, in a folder of ours in /tmp."""
    if len(os.fsencode(folder)) <= _LONGEST_FOLDER:
        return folder
    pointer = folder / "sockets"
    if not pointer.exists() or not Path(pointer.read_text()).is_dir():
        write(pointer, tempfile.mkdtemp(prefix="skyrig-", dir="/tmp"))
    return Path(pointer.read_text())
