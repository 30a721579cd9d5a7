"""Where rig puts things, and the locks that keep two of them apart."""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from limits import ENGINE, POLL_S
from speech import Failure, Progress, about, say

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
KEPT = VENV / ".rig"
"""rig's own notes inside the environment: stamps, logs, the lock, and `engine`, the folder of the engine in use."""


def cache() -> Path:
    """The user's cache folder of Skyrig; the same answer as skyrig/places.py, which is not importable yet."""
    given = os.environ.get("SKYRIG_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if xdg.startswith("/"):
        return Path(xdg, "skyrig")
    return Path("~/Library/Caches/skyrig" if sys.platform == "darwin" else "~/.cache/skyrig").expanduser()


def engine_home() -> Path:
    """The folder of the engine that rig itself gets; the programs lie in its `bin`."""
    return cache() / "engine" / ENGINE


def check_room(wanted: Mapping[Path, int]) -> None:
    """Is there room for so many megabytes in each folder? Counted by file system, for they may share one."""
    by_device: dict[int, tuple[Path, int]] = {}
    for folder, megabytes in wanted.items():
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        device = there.stat().st_dev
        by_device[device] = (there, by_device.get(device, (there, 0))[1] + megabytes)
    for there, megabytes in by_device.values():
        free = shutil.disk_usage(there).free // 1_000_000
        if free < megabytes:
            raise Failure(f"too little disk: {about(megabytes)} are needed, {about(free)} are free in {there}")


@contextmanager
def locked(path: Path, busy: str) -> Iterator[int]:
    """Hold the lock file `path`, and give its descriptor; while another holds it, say `busy`, wait, and show that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not taken(handle):
            say(busy)
            progress, started = Progress(lambda: f"still waiting, {time.monotonic() - started:.0f} s"), time.monotonic()
            while not taken(handle):
                progress.tick()
                time.sleep(POLL_S)
        yield handle
    finally:
        os.close(handle)


def taken(handle: int) -> bool:
    """Take the lock of this open file if nobody has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Put `text` into `path` at once: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)


def read(path: Path) -> str:
    """The text of `path` without its line end; empty where there is no such file."""
    try:
        return path.read_text().rstrip("\n")
    except FileNotFoundError:
        return ""
