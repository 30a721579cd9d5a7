"""Locks that tell who lives, waiting for a condition, and removing folders for good."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def locked(path: Path) -> bool:
    """Whether a process holds an exclusive lock on the file `path`; false where there is none."""
    try:
        held = _lock(path, fcntl.LOCK_SH, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if held is not None:
        os.close(held)
    return held is None


def take_lock(path: Path) -> int | None:
    """A descriptor that holds an exclusive lock on the file `path`, made if need be; None where another process holds
    one."""
    return _lock(path, fcntl.LOCK_EX, os.O_RDWR | os.O_CREAT)


def wait_for(look: Callable[[], T | None], patience_s: float = 15.0, every_s: float = 0.005) -> T | None:
    """The first answer of `look`, asked every `every_s` seconds, that is not None; None when `patience_s` seconds have
    passed."""
    deadline = time.monotonic() + patience_s
    while (answer := look()) is None and time.monotonic() < deadline:
        time.sleep(every_s)
    return answer


def remove_tree(path: Path) -> None:
    """Remove `path`, also folders that nobody may enter, as overlayfs leaves them, and where others remove it at the
    same time; nothing where there is none."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for root, folders, _ in os.walk(path):
        for name in folders:
            inner = Path(root, name)
            with suppress(FileNotFoundError):
                if not inner.is_symlink() and inner.stat().st_mode & stat.S_IRWXU != stat.S_IRWXU:
                    inner.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
    while path.exists():
        with suppress(FileNotFoundError):  # others were sooner; what else is in the way is an error
            shutil.rmtree(path)


def _lock(path: Path, kind: int, mode: int) -> int | None:
    held = os.open(path, mode | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held
