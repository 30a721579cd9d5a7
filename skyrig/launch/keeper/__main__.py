"""Start of the keeper: `python -I -m skyrig.launch.keeper ensure [--fresh]` on the head.

`ensure` prints one JSON line {"socket": PATH, "build": DIGEST} once a keeper answers there, starting one if none does;
with `--fresh` a keeper of another build than this code's is asked to leave first. The keeper runs under a watch process
that starts it again when it dies; jobs go on meanwhile under their supervisors' leases.

What a later version relies on, to replace any earlier one: `~/.skyrig/keeper.watch` and `~/.skyrig/keeper.lock` hold
the pids of watch and keeper and are locked (flock) for as long as these live; TERM to the watch ends both, after what
they were writing, and leaves every supervisor alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any, NoReturn

from skyrig.fleet.title import shown_as
from skyrig.launch.runtime import code

_LONGEST_SOCKET_PATH = 90
"""A unix socket's path may have 104 bytes at most on macOS, 108 on Linux."""

_START_DEADLINE_S = 30.0
_WATCH_LOOK_S = 0.5
"""How often a start looks whether there still is a watch that brings the keeper."""
_LEAVE_DEADLINE_S = 15.0
"""How long a keeper that is to leave may take, before KILL ends it; it loses nothing by that either."""
_ANSWERS_DEADLINE_S = 5.0
"""How long a keeper that is to leave goes on answering the requests that it is at; well under _LEAVE_DEADLINE_S."""


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


def _running_build(path: Path) -> str:
    """Build of the keeper that answers at `path`; "" where it does not say."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_ANSWERS_DEADLINE_S)
        try:
            asking.connect(str(path))
            asking.sendall(json.dumps({"op": "hello", "digest": ""}).encode() + b"\n")
            answer = json.loads(asking.makefile("rb").readline())
        except (OSError, ValueError):
            return ""
    return str(answer.get("build", ""))


def ensure(*, fresh: bool) -> None:
    """Start a keeper unless one answers (`fresh`: one of this build), and print where."""
    home = _home()
    path = _socket_path(home)
    with (home / "keeper.ensure").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two clients at once start one keeper
        if fresh and _answers(path) and _running_build(path) != code.build():
            _dismiss(home)
        if not _answers(path):
            _detach_watch(home, path)
        looked = time.monotonic()
        deadline = looked + _START_DEADLINE_S
        while not _answers(path):
            if time.monotonic() > deadline:
                sys.exit(f"the keeper did not start; see {home / 'keeper.log'}")
            if time.monotonic() > looked + _WATCH_LOOK_S:
                looked = time.monotonic()
                if _holder(home / "keeper.watch") is None:  # the one that was at work was killed with its keeper
                    _detach_watch(home, path)
            time.sleep(0.02)
    print(json.dumps({"socket": str(path), "build": code.build()}), flush=True)


def _dismiss(home: Path) -> None:
    """Have watch and keeper leave, by TERM or in the end by KILL, and wait until both have."""
    deadline = time.monotonic() + _LEAVE_DEADLINE_S
    told: set[tuple[int, signal.Signals]] = set()
    while holders := [pid for name in ("keeper.watch", "keeper.lock") if (pid := _holder(home / name)) is not None]:
        late = time.monotonic() > deadline
        if time.monotonic() > deadline + _LEAVE_DEADLINE_S or holders == [0]:
            sys.exit("the keeper that runs here cannot be replaced: it does not end")
        how = signal.SIGKILL if late else signal.SIGTERM
        for pid in holders if late else holders[:1]:  # the watch first: it takes its keeper along
            if pid and (pid, how) not in told:
                told.add((pid, how))
                os.kill(pid, how)
        time.sleep(0.02)


def _holder(path: Path) -> int | None:
    """Pid of the process that holds a lock file (0: one that did not write it there); None where none does."""
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return int(path.read_text() or 0)
    return None


def _hold(path: Path, *, wait: bool) -> IO[str]:
    """The lock file at `path`, held, with our pid in it. BlockingIOError if another has it and we are not to wait."""
    lock = path.open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


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
    _watch(home)


def _watch(home: Path) -> NoReturn:
    """Run the keeper; start it again when it dies, at once and then at most once a second. TERM ends both.

    The keeper is a process of its own, not a fork, so that one that starts again is made of the code that is on disk.
    """
    try:
        lock = _hold(home / "keeper.watch", wait=False)
    except BlockingIOError:
        os._exit(0)  # another watch is at work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    leaving: list[int] = []
    keeper: list[subprocess.Popen[bytes]] = []

    def leave(number: int, _: object) -> None:
        leaving.append(number)
        for process in keeper:
            process.terminate()

    signal.signal(signal.SIGTERM, leave)
    while not leaving:
        started = time.monotonic()
        keeper[:] = [subprocess.Popen([sys.executable, "-I", "-m", "skyrig.launch.keeper", "serve"])]
        if leaving:
            keeper[0].terminate()
        keeper[0].wait()
        if not leaving:
            time.sleep(max(0.0, 1.0 - (time.monotonic() - started)))
    lock.close()
    os._exit(0)


def serve() -> None:
    """Be the keeper, until TERM."""
    home = _home()
    path = _socket_path(home)
    locks = [_hold(home / "keeper.lock", wait=True), *_layer_lock()]
    code.build()  # of the code as it is now, which is the code that is about to be loaded
    import asyncio
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    from skyrig.launch.keeper import door
    from skyrig.launch.keeper.keeper import Keeper

    async def main() -> None:
        leaving = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
        keeper = Keeper(home)
        waking = asyncio.create_task(keeper.wake_up())
        path.unlink(missing_ok=True)
        server = await door.listen(keeper, path)
        code.mark_served(home)
        told = asyncio.create_task(leaving.wait())
        chores = asyncio.create_task(keeper.run_chores())
        caring = asyncio.create_task(keeper.caretaker.run())
        waiting: set[asyncio.Task[Any]] = {waking, chores, caring, told}
        while not told.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        server.close()
        await _until_answered(door.answering)
        os._exit(0)  # not through the loop's own end: cancelled flows have nothing to say to supervisors

    node = _node_lock()
    if node is not None:
        _end_with_node(node)
    asyncio.run(main())
    del locks
    os._exit(1)


async def _until_answered(answering: Collection[object]) -> None:
    """Wait until nobody is being answered, for _ANSWERS_DEADLINE_S at most."""
    import asyncio

    deadline = time.monotonic() + _ANSWERS_DEADLINE_S
    while answering and time.monotonic() < deadline:  # noqa: ASYNC110  (an event would be one more thing to keep)
        await asyncio.sleep(0.01)


def _layer_lock() -> list[IO[str]]:
    """The lock that keeps our code's layer from being removed, where the code lies in one (on foreign heads)."""
    layer = Path(code.__file__).parents[3]
    if layer.parent.name != "layers":
        return []
    lock = layer.with_name(f"{layer.name}.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    return [lock]


def _node_lock() -> IO[str] | None:
    """The lock that our local node holds for its life, where we run on one."""
    path = os.environ.get("SKYRIG_NODE_LOCK")
    return Path(path).open() if path and Path(path).exists() else None


def _end_with_node(lock: IO[str]) -> None:
    """End this process and its watch when the node's own process is gone: the lock can be taken then."""
    import threading

    watch = os.getppid()

    def wait() -> None:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if watch > 1 and os.getppid() == watch:
            os.kill(watch, signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def main(words: list[str]) -> None:
    """Run one command."""
    shown_as(["skyrig.launch.keeper", *words])
    if words == ["serve"]:
        serve()
    elif words in (["ensure"], ["ensure", "--fresh"]):
        ensure(fresh=len(words) > 1)
    else:
        sys.exit("usage: python -I -m skyrig.launch.keeper ensure [--fresh]")


if __name__ == "__main__":
    main(sys.argv[1:])
