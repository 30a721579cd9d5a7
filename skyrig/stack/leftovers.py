"""What an engine that was killed leaves running: its language host, its providers, and programs that these started."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from skyrig.errors import EngineError
from skyrig.fleet.local import processes

ENGINE = "pulumi"
"""Name of the engine's program, and of our wrapper around it."""

_PROC = Path("/proc")
_LIMIT_S = 20.0
_STARTERS = (b"\0skyrig.fleet.local\0", b"\0skyrig.storage.local\0")


def of(file: Path) -> list[int]:
    """Processes that hold `file` open, which an engine hands on to all that it starts; zombies not counted."""
    return [pid for pid in processes.holding(file) if not processes.gone(pid)]


def is_engine(pid: int) -> bool:
    """Whether `pid` is a living engine; where the name of a program cannot be told, whether it is any process."""
    if processes.gone(pid):
        return False
    try:
        name = (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        if (_PROC / "self").exists():
            return False
        listed = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
        name = Path(listed.stdout.strip()).name
    return name == ENGINE


def end(file: Path) -> bool:
    """Kill what holds `file` open though its engine is dead, and wait until it is gone; whether there was anything."""
    deadline = time.monotonic() + _LIMIT_S
    found = False
    while left := of(file):
        if any(is_engine(pid) for pid in left):
            return found
        found = True
        for pid in left:
            processes.kill(pid)
        if time.monotonic() > deadline:
            raise EngineError(f"processes {left}, left by an engine, do not end", hint="end them by hand")
        time.sleep(0.01)
    return found


def wait_for_starters() -> None:
    """Wait for programs of the local cloud that are at work right now. A provider that was killed has left them, and
    a node that one of them makes later than we look would be nobody's. They are short."""
    there = list(_starters())
    deadline = time.monotonic() + _LIMIT_S
    while any(not processes.gone(pid) and processes.start_time(pid) == started for pid, started in there):
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def _starters() -> Iterator[tuple[int, str]]:
    for entry in _PROC.glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if any(each in words for each in _STARTERS):
            yield int(entry.name), processes.start_time(int(entry.name))
