"""Switching a local node off and on: its folder stays, with home, host key and python environment, as a disk does.

Idempotent, and safe to kill at any point. The mark `stopped` is set before anything ends and taken away once the node
is complete again, so that a node that was stopped on purpose never looks like one that was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from skyrig.fleet.local import attached, boot, capacity, plain, processes
from skyrig.fleet.local.files import remove_tree, wait_for
from skyrig.fleet.local.layout import SHUTDOWN_S, LocalNodeError, NodeFolder, NodeRequest

_ENDING_S = SHUTDOWN_S + 5.0
"""How long a server that shuts its node down is waited for, before it is killed."""

_TELL_EVERY_S = 0.05


def check(path: Path) -> dict[str, Any]:
    """`{"alive": ..., "power": "up" or "stopped", ...state}` of the node in `path`; `{"alive": false}` where it is
    gone."""
    folder = NodeFolder(path)
    found, state = folder.power(), folder.read_state()
    if found in ("gone", "ended") or state is None:
        return {"alive": False}
    return {**state, "alive": found == "up", "power": found}


def halt(path: Path, incarnation: str) -> dict[str, Any]:
    """Switch the node off: what runs in it is told to end, and killed where it does not; then `check`'s answer.
    LocalNodeError where this incarnation of the node is gone."""
    folder, state = _found(path, incarnation)
    folder.stopped.touch()
    _ended(folder, state)
    if state["level"] == "plain":
        plain.end_leftovers(folder)
        attached.release(folder.path)
    return check(path)


def resume(path: Path, incarnation: str) -> dict[str, Any]:
    """Switch the node on, unless it is; then `check`'s answer. It is the same node: only processes, boot and temporary
    files are new, and perhaps the port for the client. LocalNodeError where this incarnation of it is gone, NoRoom
    where its place has no capacity: then it stays off."""
    folder, state = _found(path, incarnation)
    if not folder.stopped.exists():
        return check(path)
    _ended(folder, state)
    held = wait_for(folder.take_lock)
    if held is None:
        raise LocalNodeError(f"{path}: another process is at work on this node", hint="try again")
    try:
        request = NodeRequest.read(state["request"])
        capacity.take(folder, request.zone, spot=request.spot)
        folder.write_state({**state, "pid": 0})  # a server that was started but not written down is ended first
        if request.level == "plain":
            plain.end_leftovers(folder)
            attached.release(folder.path)
        remove_tree(folder.tmp)
        folder.tmp.mkdir(mode=0o700)
        booted = boot.boot(request, folder, state["user"], held, state["port"])
        folder.write_state({**state, **booted})
        folder.stopped.unlink(missing_ok=True)
    finally:
        os.close(held)
    return check(path)


def _found(path: Path, incarnation: str) -> tuple[NodeFolder, dict[str, Any]]:
    folder = NodeFolder(path)
    state = folder.read_state()
    if state is None or folder.power() in ("gone", "ended") or state["incarnation"] != incarnation:
        raise LocalNodeError(f"node {path.name} is gone", hint="`pulumi refresh`, then `pulumi up` makes it again")
    return folder, state


def _ended(folder: NodeFolder, state: dict[str, Any]) -> None:
    """Have the server shut the node down, and kill it where it does not, or is not the one that was written down."""
    pid = state["pid"]

    def gone() -> bool | None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)  # again and again: a first process that still starts does not hear it
        return True if processes.gone(pid) or not folder.alive() else None

    if pid and processes.start_time(pid) == state["pid_started"]:
        wait_for(gone, _ENDING_S, _TELL_EVERY_S)
    boot.end(folder)
