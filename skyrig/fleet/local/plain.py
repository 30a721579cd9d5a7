"""Level `plain`: the node is an SSH server in a session of its own, on the host's network and file system.

Used where there are no namespaces (macOS and others). What a node started is known by SKYRIG_NODE_LOCK in its
environment.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping

from skyrig.fleet.local import processes
from skyrig.fleet.local.files import wait_for
from skyrig.fleet.local.layout import LocalNodeError, NodeFolder


def launch(folder: NodeFolder, session: Mapping[str, str], lock: int, listener: socket.socket) -> int:
    """Start the server, fully detached; its process id."""
    with folder.log.open("ab") as log:
        server = subprocess.Popen(
            server_command(folder, lock, [listener.fileno()]),
            env=session,
            cwd=folder.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock, listener.fileno()),
        )
    server.returncode = 0  # it lives on: nobody waits for it here
    return server.pid


def server_command(folder: NodeFolder, lock: int, listeners: list[int]) -> list[str]:
    """argv of the server, which keeps the descriptor `lock` and accepts on the descriptors `listeners`."""
    numbers = [str(number) for number in (lock, *listeners)]
    return [sys.executable, "-I", "-m", "skyrig.fleet.local.server", str(folder.path), *numbers]


def end_leftovers(folder: NodeFolder) -> None:
    """Kill all that a dead node has left running, until nothing is left."""
    left: list[int] = []

    def all_gone() -> bool | None:
        nonlocal left
        left = processes.having("SKYRIG_NODE_LOCK", str(folder.lock))
        for pid in left:
            processes.kill(pid)
        return True if not left else None

    if wait_for(all_gone) is None:
        raise LocalNodeError(f"processes {left} of the node in {folder.path} do not end", hint="end them by hand")
