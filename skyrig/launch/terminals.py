"""Run on a node (stdlib only, Python 3.8): whether a person has an interactive SSH terminal open here.

Prints one JSON line: `open`, and `closed_s`, how many seconds ago the last one closed (null: none did, or unknown).

A node of the local cloud is asked by the file `terminals` beside its lock, which its SSH server keeps: sessions with a
terminal, and when the last one closed. Any other node is asked by what OpenSSH calls the process of each session: its
title ends with the terminal (`sshd: user@pts/3`, from OpenSSH 9.8 on `sshd-session: ...`), or with `@notty` where the
session has none, as all of Skyrig's own have. Where no titles can be read (no /proc, or other users' processes hidden)
`who` is asked: it lists terminals of logins from afar with their host in brackets. Screens and shells that live on
after their connection (tmux, nohup) do not count.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TITLE = re.compile(rb"sshd(-session)?: [^@]+@(pts/|tty)")


def told(lock: str) -> dict[str, Any]:
    """What the SSH server of a local node says."""
    try:
        said = json.loads((Path(lock).parent / "terminals").read_text())
    except (OSError, ValueError):
        return {"open": False, "closed_s": None}
    closed = said.get("closed_at")
    return {"open": said["open"] > 0, "closed_s": None if closed is None else max(0.0, time.monotonic() - closed)}


def titles() -> list[bytes]:
    """Titles of all processes that can be seen; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").strip())
        except OSError:
            continue
    return found


def remote_logins() -> bool:
    """Whether `who` lists a login from afar."""
    try:
        listed = subprocess.run(["who"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return False
    return any(re.search(rb"\([^:)][^)]*\)\s*$", line) for line in listed.stdout.splitlines())


def seen() -> dict[str, Any]:
    """What can be seen from outside the SSH server."""
    there = titles()
    servers = [title for title in there if title.startswith(b"sshd")]
    is_open = any(TITLE.match(title) for title in servers) if servers else remote_logins()
    return {"open": is_open, "closed_s": None}


lock = os.environ.get("SKYRIG_NODE_LOCK")
sys.stdout.write(json.dumps(told(lock) if lock else seen()) + "\n")
