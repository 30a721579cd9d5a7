"""One engine run at a time for a stack, and whom it waits for.

Two locks are minded: ours (a flock that dies with its holder), and the engine's own lock files on a file backend,
which outlive an engine that was killed. One of those is broken only if its process is dead on this very host.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from skyrig import places
from skyrig.errors import StackBusy
from skyrig.stack import backend

WAIT_S = 1800.0
"""How long a run waits for another one before it gives up, in seconds."""

_POLL_S = 0.2


@contextlib.contextmanager
def held(stack: str, notify: Callable[[str], None], *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the stack for one engine run. Says once for whom it waits; StackBusy after `wait_s` seconds."""
    file = places.made(places.stack(stack)) / "engine.lock"
    deadline = time.monotonic() + wait_s
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(stack, lambda: None if _taken(descriptor) else _holder(descriptor), deadline, notify)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {' '.join(sys.argv[:2])}".encode(errors="replace"), 0)
        _wait(stack, lambda: _engine_holder(stack), deadline, notify)
        yield
    finally:
        os.close(descriptor)


def is_held(stack: str) -> bool:
    """Whether a run of Skyrig is at work on the stack right now."""
    try:
        descriptor = os.open(places.stack(stack) / "engine.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _taken(descriptor)
    finally:
        os.close(descriptor)


def _wait(stack: str, holder: Callable[[], str | None], deadline: float, notify: Callable[[str], None]) -> None:
    said = ""
    while (name := holder()) is not None:
        if time.monotonic() > deadline:
            raise StackBusy(f"stack {stack} is held by {name}", hint="end that one, or try again later")
        if name != said:
            notify(f"waiting for {name}, which is at work on stack {stack}")
            said = name
        time.sleep(_POLL_S)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    pid, _, command = os.pread(descriptor, 300, 0).decode(errors="replace").partition(" ")
    return f"process {pid} ({command})" if pid else "another process"


def _engine_holder(stack: str) -> str | None:
    """Who holds the engine's lock; locks whose process is dead on this host are removed on the way."""
    for file in backend.lock_files(stack):
        try:
            lock = json.loads(file.read_bytes())
            pid, host = int(lock["pid"]), str(lock["hostname"])
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            return f"the owner of the unreadable lock {file}"
        if host != socket.gethostname() or _alive(pid):
            return f"the engine, process {pid} on {host}"
        file.unlink(missing_ok=True)
    return None


def _alive(pid: int) -> bool:
    """Whether `pid` is a process other than a zombie (and, where /proc tells, an engine: pids are used again)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return True
    return name.startswith("pulumi")
