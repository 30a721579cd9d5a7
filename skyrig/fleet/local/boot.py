"""Starting the server of a node whose folder is complete, and ending it, whatever state it was left in."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

from skyrig.fleet.local import environment, plain, processes, spaces, switch
from skyrig.fleet.local.files import wait_for
from skyrig.fleet.local.layout import LocalNodeError, NodeFolder, NodeRequest

_HOST = "127.0.0.1"


def boot(request: NodeRequest, folder: NodeFolder, user: str, lock: int, port: int = 0) -> dict[str, Any]:
    """Start the server, which keeps the descriptor `lock`; what `check` says of this boot. It listens for the client
    on `port` where that is free, else on another one."""
    proxy = switch.proxy_environment() if request.level == "namespaces" else {}
    session = environment.session_environment(request, folder, user, os.environ, proxy)
    with _listener(port) as listener:
        if request.level == "plain":
            pid = plain.launch(folder, session, lock, listener)
        else:
            pid = spaces.launch(request, folder, session, lock, listener)
        told = _places(request, listener.getsockname()[1])
    return {**told, "pid": pid, "pid_started": processes.start_time(pid), "boot": secrets.token_hex(8)}


def unbooted(request: NodeRequest) -> dict[str, Any]:
    """What `check` says of a node that was never started: a port that is free now, and no process."""
    with _listener(0) as listener:
        told = _places(request, listener.getsockname()[1])
    return {**told, "pid": 0, "pid_started": "", "boot": ""}


def end(folder: NodeFolder) -> None:
    """Kill the node's server, with all that is in the node on level namespaces, and wait until it is gone."""
    state = folder.read_state() or {}
    pid = state.get("pid")
    known = [pid] if pid and processes.start_time(pid) == state["pid_started"] else []
    left = known if folder.alive() else []

    def all_gone() -> bool | None:
        nonlocal left
        for pid in left:
            processes.kill(pid)
        left = [pid for pid in left if not processes.gone(pid)]
        if not left and folder.alive():
            left = processes.holding(folder.lock)  # of a node that was never completed
        return None if left or folder.alive() else True

    if wait_for(all_gone) is None:
        raise LocalNodeError(f"processes {left} of the node in {folder.path} do not end", hint="end them by hand")
    if "address" in state:
        switch.forget(folder.path.parent, state["address"])


def _listener(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port), backlog=256)
    except OSError:
        if not port:
            raise
        return socket.create_server((_HOST, 0), backlog=256)


def _places(request: NodeRequest, port: int) -> dict[str, Any]:
    inside = (_HOST, port) if request.level == "plain" else (request.address, 22)
    return {"host": _HOST, "port": port, "address": inside[0], "internal_port": inside[1]}
