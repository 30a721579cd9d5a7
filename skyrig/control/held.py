"""The lock of a ward: who is at work on it, one at a time. It dies with its holder, and can be left to a child."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from skyrig import places
from skyrig.control import folder, table


def take(kind: str, name: str, wait: Callable[[], None]) -> int:
    """The lock of a ward, as a descriptor that holds it until it is closed; `wait` is called once where somebody else
    has it now."""
    while True:
        descriptor = _open(folder.held(kind, name))
        try:
            if not _locked(descriptor):
                wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is(descriptor, folder.held(kind, name)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the ward went, with this file, while it was waited for


def try_take(kind: str, name: str) -> int | None:
    """The same; None where somebody else has it."""
    descriptor = _open(folder.held(kind, name))
    if _locked(descriptor) and _is(descriptor, folder.held(kind, name)):
        return descriptor
    os.close(descriptor)
    return None


def is_held(kind: str, name: str) -> bool:
    """Whether somebody has it."""
    if not folder.held(kind, name).exists():
        return False
    descriptor = try_take(kind, name)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def release(descriptor: int, kind: str, name: str) -> None:
    """Let go of it. Where there is no such ward (any more), its folder goes too."""
    with contextlib.suppress(OSError):
        if table.ward(name, kind) is None:
            folder.drop(kind, name)
    os.close(descriptor)


def _open(file: Path) -> int:
    places.made(file.parent)
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(descriptor: int, file: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False
