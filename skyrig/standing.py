"""Processes that stand by themselves: started once by whoever needs them first, with no terminal, started again by a
watch when they die, ended by TERM. The keeper and the steward on a head and the controller of a user are such.

What a later version relies on, to replace any earlier one: in the process's folder, `NAME.watch` and `NAME.lock` hold
the pids of watch and process and are locked (flock) for as long as these live; TERM to the watch ends both, after what
they were writing.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn

from attrs import frozen

_LONGEST_SOCKET_PATH = 90
"""A unix socket's path may have 104 bytes at most on macOS, 108 on Linux."""

_START_DEADLINE_S = 30.0
_WATCH_LOOK_S = 0.5
"""How often a start looks whether there still is a watch that brings the process."""
_LEAVE_DEADLINE_S = 15.0
"""How long a process that is to leave may take, before KILL ends it; it loses nothing by that either."""
NOT_NEEDED = 75
"""Exit code of a process that has nothing to do any more, and shall not be started again."""

ANSWERS_DEADLINE_S = 5.0
"""How long a process that is to leave goes on answering the requests that it is at; well under _LEAVE_DEADLINE_S."""


@frozen
class Standing:
    """One such process: `name` is what its files in `home` are called by, `module` what `python -I -m MODULE serve`
    runs. It answers at a unix socket."""

    home: Path
    name: str
    module: str

    @property
    def log(self) -> Path:
        """Where it writes what goes wrong."""
        return self.home / f"{self.name}.log"

    @property
    def lock(self) -> Path:
        """The file that the process holds for its life."""
        return self.home / f"{self.name}.lock"

    @property
    def watch(self) -> Path:
        """The file that its watch holds for its life."""
        return self.home / f"{self.name}.watch"

    def socket(self) -> Path:
        """Where the socket lies: in `home`, or where that path is too long in a fresh folder of our own in /tmp."""
        path = self.home / f"{self.name}.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        pointer = self.home / f"{self.name}.where"
        if not pointer.exists() or not Path(pointer.read_text()).is_dir():
            pointer.write_text(tempfile.mkdtemp(prefix="skyrig-", dir="/tmp"))
        return Path(pointer.read_text()) / f"{self.name}.sock"

    def answers(self) -> bool:
        """Whether one is there that takes connections."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket()))
            except OSError:
                return False
        return True

    def pid(self) -> int | None:
        """Pid of the process; None where none runs."""
        return holder(self.lock)


def ensure(what: Standing, *, outdated: Callable[[], bool] = lambda: False) -> Path:
    """Start the process unless one answers that is not `outdated`; its socket. Ends the program with a line where it
    does not start."""
    with (what.home / f"{what.name}.ensure").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two clients at once start one
        if what.answers() and outdated():
            dismiss(what)
        if not what.answers():
            _detach_watch(what)
        looked = time.monotonic()
        deadline = looked + _START_DEADLINE_S
        while not what.answers():
            if time.monotonic() > deadline:
                sys.exit(f"the {what.name} did not start; see {what.log}")
            if time.monotonic() > looked + _WATCH_LOOK_S:
                looked = time.monotonic()
                if holder(what.watch) is None:  # the one that was at work was killed with its process
                    _detach_watch(what)
            time.sleep(0.02)
    return what.socket()


def dismiss(what: Standing) -> None:
    """Have watch and process leave, by TERM or in the end by KILL, and wait until both have."""
    deadline = time.monotonic() + _LEAVE_DEADLINE_S
    told: set[tuple[int, signal.Signals]] = set()
    while holders := [pid for file in (what.watch, what.lock) if (pid := holder(file)) is not None]:
        late = time.monotonic() > deadline
        if time.monotonic() > deadline + _LEAVE_DEADLINE_S or holders == [0]:
            sys.exit(f"the {what.name} that runs here cannot be replaced: it does not end")
        how = signal.SIGKILL if late else signal.SIGTERM
        for pid in holders if late else holders[:1]:  # the watch first: it takes its process along
            if pid and (pid, how) not in told:
                told.add((pid, how))
                os.kill(pid, how)
        time.sleep(0.02)


def holder(path: Path) -> int | None:
    """Pid of the process that holds a lock file (0: one that did not write it there); None where none does."""
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return int(path.read_text() or 0)
    return None


def hold(path: Path, *, wait: bool) -> IO[str]:
    """The lock file at `path`, held, with our pid in it. BlockingIOError if another has it and we are not to wait."""
    lock = path.open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _detach_watch(what: Standing) -> None:
    """Fork the watch process, free of our terminal, session and descriptors."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    log = os.open(what.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    _watch(what)


def _watch(what: Standing) -> NoReturn:
    """Run the process; start it again when it dies, at once and then at most once a second. TERM ends both, and so does
    a process that ends with NOT_NEEDED.

    It is a process of its own, not a fork, so that one that starts again is made of the code that is on disk.
    """
    try:
        lock = hold(what.watch, wait=False)
    except BlockingIOError:
        os._exit(0)  # another watch is at work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    leaving: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def leave(number: int, _: object) -> None:
        leaving.append(number)
        for process in running:
            process.terminate()

    signal.signal(signal.SIGTERM, leave)
    while not leaving:
        started = time.monotonic()
        running[:] = [subprocess.Popen([sys.executable, "-I", "-m", what.module, "serve"])]
        if leaving:
            running[0].terminate()
        if running[0].wait() == NOT_NEEDED:
            break
        if not leaving:
            time.sleep(max(0.0, 1.0 - (time.monotonic() - started)))
    lock.close()
    os._exit(0)


def end_with_node() -> None:
    """On a local node: end this process and its watch when the node's own process is gone (the lock that it holds for
    its life can be taken then). Elsewhere nothing."""
    import threading

    path = os.environ.get("SKYRIG_NODE_LOCK")
    if not path or not Path(path).exists():
        return
    lock, watch = Path(path).open(), os.getppid()  # noqa: SIM115  (held for as long as this process lives)

    def wait() -> None:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if watch > 1 and os.getppid() == watch:
            os.kill(watch, signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
