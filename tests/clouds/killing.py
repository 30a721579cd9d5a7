"""Engines that are killed while they work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from user import User, until

_MOMENT_S = 240.0


def killed_when(person: User, command: list[str], moment: Callable[[], object]) -> None:
    """Run a command until a moment has come, then kill its engine and the client with SIGKILL."""
    with (person.home.parent / "killed.log").open("wb") as out:
        client = person.start(*command, stdout=out)
        until(moment, "the moment to kill", _MOMENT_S)
        for pid in [*_engines(person), client.pid]:
            os.kill(pid, signal.SIGKILL)
        client.wait(timeout=30)
    until(lambda: not _engines(person), "the engine is dead")


def _engines(person: User) -> list[int]:
    """Engines at work on this user's stack: another test's user may have one of the same name."""
    found = person.processes(f"--stack\0{person.stack}")
    return [pid for pid in found if _program(pid) == "pulumi" and _is_of(person, pid)]


def _is_of(person: User, pid: int) -> bool:
    try:
        return f"SKYRIG_HOME={person.home}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
