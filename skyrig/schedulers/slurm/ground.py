"""What the programs inside a Slurm job share: files that appear whole, processes in sessions, streams.

Standard library only, Python 3.8 or newer; see skyrig.schedulers.slurm.batch for why.
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_S = 5.0
"""Between TERM and KILL where the gang is ended."""


def workdir(job: dict[str, Any]) -> str:
    """Where scripts run: the workdir that was brought, or a folder of the job's own."""
    folder = os.path.abspath(os.path.join("..", "..", job["workdir"]) if job["workdir"] else "work")
    os.makedirs(folder, exist_ok=True)
    return folder


def started(script: list[str], folder: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """A script in a session of its own, both its outputs in one."""
    return subprocess.Popen(["/bin/bash", *script], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip


def pump(stream: IO[bytes] | None, sink: Callable[[bytes], None]) -> threading.Thread:
    """Hand the lines of a stream to `sink`, in a thread."""
    assert stream is not None

    def copy() -> None:
        for line in stream:
            sink(line if line.endswith(b"\n") else line + b"\n")

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def group(pid: int, signum: int) -> bool:
    """Signal a process group; whether anybody is in it."""
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def locked(file: IO[str]) -> bool:
    """Try to take a lock that also holds between machines."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def code_of(status: int) -> int:
    """An exit code as a shell would say it."""
    return 128 - status if status < 0 else status


def read_json(path: str) -> Any:
    """The JSON of a file; None where it is not there (whole)."""
    try:
        with open(path) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def put(path: str, text: str) -> None:
    """Write a file, whole or not at all, for its owner alone."""
    fresh = f"{path}.{socket.gethostname()}.{os.getpid()}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
