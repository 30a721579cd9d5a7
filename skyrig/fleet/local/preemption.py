"""A local node that is taken away after a warning: the warning lies in its home, where a cloud's machine would ask its
metadata service (skyrig.launch.notices), and a process of its own kills the node when the time has come."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from pathlib import Path
from typing import Any

from skyrig.fleet.local import processes
from skyrig.fleet.local.layout import NodeFolder

_LOOK_EVERY_S = 0.2

_LATE_S = 5.0
"""How long after its time a node that was told so still counts as one that goes."""


def announce(path: Path, after_s: float) -> float:
    """Tell the node in `path` that it will be killed in `after_s` seconds; when that is, in unix time."""
    file, at = NodeFolder(path).preemption, time.time() + after_s
    file.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({"id": secrets.token_hex(4), "at": at}))
    fresh.replace(file)
    return at


def told(path: Path) -> float:
    """When the node in `path` will be killed by what it was told, in unix time; 0 where nobody has told it, or it
    lives on all the same."""
    try:
        at = float(json.loads(NodeFolder(path).preemption.read_text())["at"])
    except (OSError, ValueError, KeyError, TypeError):  # the file is in the node's home: anybody may write there
        return 0.0
    return at if time.time() < at + _LATE_S else 0.0


def kill(path: Path, incarnation: str, at: float) -> dict[str, Any]:
    """Kill this incarnation of the node when it is `at`, unix time, unless it is gone by then."""
    folder = NodeFolder(path)
    while (state := folder.read_state() or {}).get("incarnation") == incarnation and folder.alive():
        if time.time() >= at:
            if processes.start_time(state["pid"]) == state["pid_started"]:
                os.kill(state["pid"], signal.SIGKILL)
            return {"killed": True}
        time.sleep(min(_LOOK_EVERY_S, max(0.0, at - time.time())))
    return {"killed": False}
