"""Calls to an API that takes so many a second and no more, from all programs of this user on this machine: the engine's
provider has several calls under way at once, and commands run beside each other."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from skyrig import places

_MOST_AHEAD = 100
"""Turns that may be taken already; a file that says more is of a clock that was set back."""


def wait(name: str, every_s: float) -> None:
    """Come back when it is one's turn among the calls called `name`, of which one is due each `every_s` seconds."""
    now = time.time()
    time.sleep(max(0.0, turn(places.made(places.cache() / "pace") / name, every_s, now) - now))


def turn(file: Path, every_s: float, now: float) -> float:
    """Take the next free turn, and say when it is; `file` holds the last one that was taken."""
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            last = float(held.read() or "0")
        except ValueError:  # half written by a program that was killed
            last = 0.0
        due = max(now, last + every_s) if last <= now + _MOST_AHEAD * every_s else now
        held.seek(0)
        held.truncate()
        held.write(f"{due:.6f}")
    return due
