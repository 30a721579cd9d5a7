"""The life of a local node: start, stop. Idempotent, and safe to kill at any point."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
from pathlib import Path
from typing import Any

from skyrig.fleet.local import attached, boot, capacity, environment, images, plain, power, switch
from skyrig.fleet.local.files import remove_tree, wait_for
from skyrig.fleet.local.layout import HostKey, LocalNodeError, NodeFolder, NodeRequest

_OTHER_STARTER_S = 3.0
"""How long another process may take over starting a node before it counts as killed half-way."""


def start(request: NodeRequest, host_key: HostKey, wanted: str = "up") -> dict[str, Any]:
    """The node's state, with the power that is `wanted` (up or stopped); makes the node unless one made from the same
    request is there already.

    What is left of another, dead or half-made one in the same folder is cleared away first. The server is not waited
    for: its listening socket exists when this returns, and holds early clients back until it answers. A node that is
    made takes `host_key`: to make one needs a slow import, which the caller has behind it. NoRoom, and nothing of it is
    left, where its place has no capacity.
    """
    folder = NodeFolder(request.folder)
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    request.records.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = power.check(folder.path)
    if "power" in found and found["request"] == request.as_json():
        switch_to = power.resume if wanted == "up" else power.halt
        return switch_to(folder.path, found["incarnation"])
    if found["alive"]:
        boot.end(folder)
    held, living = wait_for(lambda: _taken_or_living(folder), _OTHER_STARTER_S) or (None, None)
    if living is not None:
        return living
    if held is None:
        boot.end(folder)
        held = wait_for(folder.take_lock)
    if held is None:
        raise LocalNodeError(f"{folder.path}: another process keeps starting this node", hint="try again")
    try:
        _clear(folder)
        if wanted == "up":
            capacity.take(folder, request.zone, spot=request.spot)
        return _make(request, folder, held, host_key, wanted)
    except capacity.NoRoom:
        folder.lock.unlink()
        folder.path.rmdir()
        raise
    finally:
        os.close(held)


def stop(path: Path, incarnation: str = "") -> dict[str, Any]:
    """End the node in `path` with everything in it, wait until it is gone, and remove its folder.

    Does nothing where there is no folder, or where another incarnation than the given one has the folder now.
    LocalNodeError if something of it does not go away.
    """
    folder = NodeFolder(path)
    if not path.exists():
        return {"stopped": False}
    if not folder.lock.exists() and any(path.iterdir()):
        raise LocalNodeError(f"{path} is not the folder of a local node", hint="remove it by hand")
    state = folder.read_state()
    if state is not None and incarnation not in ("", state["incarnation"]):
        return {"stopped": False}
    boot.end(folder)
    _clear(folder)
    folder.lock.unlink(missing_ok=True)
    folder.path.rmdir()
    return {"stopped": True}


def stop_all(path: Path) -> dict[str, Any]:
    """End all nodes in the stack's folder `path`, known to the engine or not, then their network; remove the folder."""
    if not path.exists():
        return {"stopped": False}
    for entry in list(path.iterdir()):
        if NodeFolder(entry).lock.exists():
            stop(entry)
    switch.stop(path)
    path.rmdir()
    return {"stopped": True}


def _taken_or_living(folder: NodeFolder) -> tuple[int | None, dict[str, Any] | None] | None:
    held = folder.take_lock()
    living = _living(folder) if held is None else None
    return None if held is None and living is None else (held, living)


def _living(folder: NodeFolder) -> dict[str, Any] | None:
    """State of a node that lives; None where it does not, or is being made by another process right now."""
    found = power.check(folder.path)
    return found if found["alive"] else None


def _make(request: NodeRequest, folder: NodeFolder, lock: int, host_key: HostKey, wanted: str) -> dict[str, Any]:
    user = pwd.getpwuid(os.getuid()).pw_name
    folder.tmp.mkdir(mode=0o700)
    if request.image:
        images.begin(Path(request.image), folder, request.level)
    environment.make_python(folder)
    environment.make_shims(folder, environment.search_path(folder, os.environ), request.accelerators)
    environment.make_home(folder, request.authorized_key)
    _write_private(folder.host_key, host_key.private)
    if wanted == "stopped":
        folder.stopped.touch()
        booted = boot.unbooted(request)
    else:
        booted = boot.boot(request, folder, user, lock)
    state = {
        "node_id": request.node_id,
        "level": request.level,
        "alias": request.alias,
        "folder": str(folder.path),
        **booted,
        "user": user,
        "host_key": host_key.public,
        "incarnation": secrets.token_hex(8),
        "accelerators": request.accelerators,
        "cpus": request.cpus or os.cpu_count() or 1,
        "memory_gb": request.memory_gb or _memory_gb(),
        "request": request.as_json(),
    }
    folder.write_state(state)
    return {**state, "alive": wanted == "up", "power": wanted}


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _clear(folder: NodeFolder) -> None:
    """Remove what a node left, but its lock: stray processes of a dead one (level plain), then its files."""
    if folder.home.exists() and not folder.root.exists():
        plain.end_leftovers(folder)
        _forget_socket(folder)
    attached.release(folder.path)
    folder.state.unlink(missing_ok=True)
    for entry in list(folder.path.iterdir()):
        if entry != folder.lock:
            remove_tree(entry)


def _forget_socket(folder: NodeFolder) -> None:
    """Remove the folder in /tmp that held the keeper's socket. The file that names it could be anybody's on the node:
    only such a folder is removed, with nothing but the socket in it."""
    with contextlib.suppress(OSError, UnicodeError, ValueError):
        named = Path(folder.keeper_where.read_text())
        if named.parent == Path("/tmp") and named.name.startswith("skyrig-"):
            (named / "keeper.sock").unlink(missing_ok=True)
            named.rmdir()


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
