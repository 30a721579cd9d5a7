"""Start of the keeper: `python -m skyrig.launch.keeper ensure` on the head.

`ensure` prints one JSON line {"socket": PATH} once a keeper answers there, starting one if none does. The keeper runs
under a watch process that starts it again when it dies; jobs go on meanwhile under their supervisors' leases.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

_LONGEST_SOCKET_PATH = 90
"""A unix socket's path may have 104 bytes at most on macOS, 108 on Linux."""

_START_DEADLINE_S = 30.0


def _home() -> Path:
    home = Path.home() / ".skyrig"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def _socket_path(home: Path) -> Path:
    """Where the socket lies: in ~/.skyrig, or where that path is too long in a fresh folder of our own in /tmp."""
    path = home / "keeper.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    pointer = home / "keeper.where"
    if not pointer.exists() or not Path(pointer.read_text()).is_dir():
        pointer.write_text(tempfile.mkdtemp(prefix="skyrig-", dir="/tmp"))
    return Path(pointer.read_text()) / "keeper.sock"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def ensure() -> None:
    """Start a keeper unless one answers, and print where."""
    home = _home()
    path = _socket_path(home)
    with (home / "keeper.ensure").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two clients at once start one keeper
        if not _answers(path):
            _detach_watch(home, path)
        deadline = time.monotonic() + _START_DEADLINE_S
        while not _answers(path):
            if time.monotonic() > deadline:
                sys.exit(f"the keeper did not start; see {home / 'keeper.log'}")
            time.sleep(0.02)
    print(json.dumps({"socket": str(path)}), flush=True)


def _detach_watch(home: Path, path: Path) -> None:
    """Fork the watch process, free of our terminal, session and descriptors."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    log = os.open(home / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    _watch(home, path)


def _watch(home: Path, path: Path) -> None:
    """Run the keeper; start it again when it dies, at once and then at most once a second."""
    with (home / "keeper.watch").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os._exit(0)  # another watch is at work
        while True:
            started = time.monotonic()
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _serve(home, path)
            os.waitpid(child, 0)
            time.sleep(max(0.0, 1.0 - (time.monotonic() - started)))


def _serve(home: Path, path: Path) -> None:
    import asyncio
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    from skyrig.launch.keeper.door import listen
    from skyrig.launch.keeper.keeper import Keeper

    async def main() -> None:
        keeper = Keeper(home)
        waking = asyncio.create_task(keeper.wake_up())
        path.unlink(missing_ok=True)
        server = await listen(keeper, path)
        async with server:
            await asyncio.gather(waking, keeper.run_chores())

    node = _node_lock()
    if node is not None:
        _end_with_node(node)
    asyncio.run(main())
    os._exit(1)


def _node_lock() -> IO[str] | None:
    """The lock that our local node holds for its life, where we run on one."""
    path = os.environ.get("SKYRIG_NODE_LOCK")
    return Path(path).open() if path and Path(path).exists() else None


def _end_with_node(lock: IO[str]) -> None:
    """End this process and its watch when the node's own process is gone: the lock can be taken then."""
    import threading

    def wait() -> None:
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1:] != ["ensure"]:
        sys.exit("usage: python -m skyrig.launch.keeper ensure")
    ensure()
