"""Child processes that do rig's work: each writes to a log of its own, and all end when rig is told to stop."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_S = 3.0


class Stopped(Exception):
    """An errand was ended, or not begun, because rig is to stop; nothing is wrong with what it left."""


class Errands:
    """Runs commands for several threads, and can end them all.

    Children write to files instead of pipes: one whose rig was killed goes on undisturbed. They inherit the locks
    given as `locks` (file descriptors), so that the next rig waits for such a leftover and then uses its work.
    """

    def __init__(self) -> None:
        self._running: dict[subprocess.Popen[bytes], None] = {}
        self._guard = threading.Lock()
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        locks: Sequence[int] = (),
    ) -> int:
        """Run `command`, its output to `log`, and return its exit code; raises Stopped after `stop`."""
        with log.open("wb") as out:
            with self._guard:
                if self._stopped:
                    raise Stopped
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=folder,
                    pass_fds=locks,
                    start_new_session=True,
                )
                self._running[child] = None
            code = child.wait()
        with self._guard:
            del self._running[child]
            if self._stopped:
                raise Stopped
        return code

    def stop(self) -> None:
        """End every child and what it started; later calls of `run` start nothing."""
        with self._guard:
            self._stopped = True
            children = list(self._running)
        for how in (signal.SIGTERM, signal.SIGKILL):
            for child in children:
                try:
                    os.killpg(child.pid, how)
                except (ProcessLookupError, PermissionError):
                    continue
            for child in children:
                try:
                    child.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    continue


def tail(log: Path, most: int = 100) -> str:
    """The last line in `log` that says something, shortened; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
            lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    except FileNotFoundError:
        return ""
    for line in reversed(lines):
        if line.strip():
            return line.strip()[:most]
    return ""


def why(log: Path) -> str:
    """What went wrong according to `log`, in one line: a known cause, or the last error line."""
    text = log.read_text(errors="replace") if log.exists() else ""
    for cause, marks in CAUSES.items():
        if any(mark in text.lower() for mark in marks):
            return cause
    lines = [line.strip() for line in text.splitlines() if "error" in line.lower()] or [tail(log)]
    return f"{lines[-1][:200]} (all of it in {log})"


CAUSES = {
    "the disk is full": ("no space left on device", "disk quota exceeded"),
    "the downloaded files are not the pinned ones (their hashes differ)": (
        "do not match the hashes",
        "hash mismatch",
        "checksum mismatch",
    ),
    "no network: what is needed cannot be reached; check the connection and proxy settings, then run it again": (
        "no such host",
        "dns error",
        "name resolution",
        "name or service not known",
        "nodename nor servname",
        "failed to establish a new connection",
        "network is unreachable",
        "connection refused",
        "i/o timeout",
        "error sending request",
        "connect timeout",
        "tls handshake timeout",
    ),
}
"""Known causes of a failed errand and the (lower-case) words in its log that tell them; the first that fits is it."""
