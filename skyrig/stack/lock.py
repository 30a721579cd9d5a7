"""One engine run at a time for a stack, and whom it waits for.

Three marks are minded, in the stack's folder and on the backend:

- `engine.lock`, a flock of the client that is about to run the engine. It dies with its holder.
- `engine.at-work`, a file that the engine and all that it starts hold open. It tells whether an engine goes on whose
  client is gone (that one is waited for, since it writes down what it makes), and which processes a dead engine has
  left (those are ended: the engine's language host and providers would stay for good).
- the engine's own lock files on a file backend, which outlive an engine that was killed. One of those is broken only if
  its process is dead on this very host.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from skyrig import places
from skyrig.errors import StackBusy
from skyrig.progress import Kind, Step, tell
from skyrig.stack import backend, leftovers

WAIT_S = 1800.0
"""How long a run waits for another one before it gives up, in seconds."""

REMIND_S = 30.0
"""How often a run that waits says that it still does, in seconds."""

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_POLL_S = 0.1
_SILENT_S = 0.2
"""How long is waited without a word: others hold a lock for a moment when they look who has it."""

_WRITING_S = 5.0
"""How long an engine may take over writing its lock, a hundred bytes."""

_ENDING_S = 1.0
"""How long an engine that has ended may take over ending what it had started."""


@contextlib.contextmanager
def held(stack: str, notify: Notify, *, wait_s: float = WAIT_S, command: str = "") -> Iterator[int]:
    """Hold the stack for one engine run; gives the descriptor that the engine must inherit. Says for whom it waits, by
    user, process, command and time; StackBusy after `wait_s` seconds. `command` is what others are told that is at
    work here, by default this process's own."""
    file = places.made(places.stack(stack)) / "engine.lock"
    waiting = Waiting(stack, notify, wait_s)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        waiting.until_free(lambda: None if taken(descriptor) else _client(descriptor, stack))
        before = _record(descriptor)
        _write_record(descriptor, command or _own_command())
        waiting.until_free(lambda: _engine(stack, before, notify))
        at_work = os.open(_at_work_file(stack), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        waiting.until_free(lambda: None if taken(at_work) else "what an engine has left")
        try:
            yield at_work
        finally:
            os.close(at_work)
            _end_leftovers(stack)
    finally:
        os.close(descriptor)


def is_held(stack: str) -> bool:
    """Whether a run of Skyrig, or an engine that one has left, is at work on the stack right now."""
    return is_locked(places.stack(stack) / "engine.lock") or is_locked(_at_work_file(stack))


class Waiting:
    """Waiting for others on one stack: says once for whom, then every half minute that it still waits."""

    def __init__(self, stack: str, notify: Notify, wait_s: float) -> None:
        self.stack = stack
        self._notify = notify
        self._started = time.monotonic()
        self._wait_s = wait_s
        self._said = ""
        self._next = 0.0

    def until_free(self, holder: Callable[[], str | None]) -> None:
        """Wait until `holder` names nobody any more."""
        with self.shown():
            while (name := holder()) is not None:
                self.turn(name, _POLL_S)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """What the block waits for is seen to be waited for no longer than it."""
        try:
            yield
        finally:
            tell(self._notify, Step(Kind.WAIT, f"stack {self.stack}", ended=True))

    def turn(self, name: str, pause_s: float) -> None:
        """Say, where it is due, that `name` is waited for, and pause; StackBusy where the time is over."""
        waited = time.monotonic() - self._started
        if waited > self._wait_s:
            hint = "end that one, or try again later"
            raise StackBusy(f"stack {self.stack} is held by {name}, waited for {waited:.0f} s", hint=hint)
        tell(self._notify, Step(Kind.WAIT, f"stack {self.stack}", f"held by {name}"))
        if waited < _SILENT_S:
            pass
        elif name != self._said:
            self._notify(f"waiting for {name}, which is at work on stack {self.stack}")
            self._said, self._next = name, waited + REMIND_S
        elif waited >= self._next:
            self._notify(f"still waiting for {name} ({waited:.0f} s)")
            self._next = waited + REMIND_S
        time.sleep(pause_s)


def _at_work_file(stack: str) -> Path:
    return places.stack(stack) / "engine.at-work"


def taken(descriptor: int) -> bool:
    """Take the lock of an open file, unless somebody has it; whether it was to be had."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(file: Path) -> bool:
    """Whether somebody has the lock of a file right now."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not taken(descriptor)
    finally:
        os.close(descriptor)


def _own_command() -> str:
    """Program and verb of this process, without its flags: those may hold what nobody else shall read."""
    program = Path(sys.argv[0] or "python")
    name = program.parent.name if program.name == "__main__.py" else program.name
    return " ".join([name, *[word for word in sys.argv[1:2] if not word.startswith("-")]])


def _write_record(descriptor: int, command: str) -> None:
    record = {"pid": os.getpid(), "user": getpass.getuser(), "command": command, "since": int(time.time())}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode(), 0)


def _record(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 1000, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _client(descriptor: int, stack: str) -> str:
    """The client that has the stack's lock."""
    record = _record(descriptor)
    return _named(record) if record else f"another process on stack {stack}"


def _named(record: dict[str, Any]) -> str:
    since = datetime.fromtimestamp(record["since"]).strftime("%H:%M:%S")
    return f"{record['user']}'s `{record['command']}` (process {record['pid']}, since {since})"


def _engine(stack: str, before: dict[str, Any], notify: Notify) -> str | None:
    """The engine that is at work on the stack although the lock is ours: one whose client is gone, or one that was not
    started by Skyrig. What dead engines have left is cleared away on the way."""
    cut_off = False
    if is_locked(_at_work_file(stack)):
        there = leftovers.of(_at_work_file(stack))
        engines = [pid for pid in there if leftovers.is_engine(pid)]
        if engines:
            return _left_by(before, engines)
        cut_off = _end_leftovers(stack)
    for file in backend.lock_files(stack):
        try:
            lock = json.loads(file.read_bytes())
            pid, host = int(lock["pid"]), str(lock["hostname"])
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            if not _half_written(file):
                return f"the owner of the unreadable lock {file}"
            pid, host = 0, socket.gethostname()
        if host != socket.gethostname() or (pid and leftovers.is_engine(pid)):
            user, since = lock.get("username", "somebody"), str(lock.get("timestamp", "?"))[:19]
            return f"{user}'s engine (process {pid} on {host}, since {since} UTC)"
        file.unlink(missing_ok=True)
        cut_off = True
    if cut_off:
        notify(f"an earlier run on stack {stack} was cut off")
        leftovers.wait_for_starters()
    return None


def _half_written(file: Path) -> bool:
    """Whether a lock is one that its engine began to write, and no engine is writing any more."""
    try:
        return file.suffix == ".tmp" and time.time() - file.stat().st_mtime > _WRITING_S
    except FileNotFoundError:
        return True


def _left_by(before: dict[str, Any], engines: list[int]) -> str:
    """A living engine that nobody holds the lock for: a plain `pulumi up`, or what a killed client has left."""
    if not before or before["pid"] in engines:
        return _named(before) if before else f"an engine (process {engines[0]})"
    return f"the engine (process {engines[0]}) that is left of {_named(before)}"


def _end_leftovers(stack: str) -> bool:
    """End what a dead engine has left running; says whether there was anything."""
    file = _at_work_file(stack)
    deadline = time.monotonic() + _ENDING_S
    while is_locked(file) and time.monotonic() < deadline:
        time.sleep(0.01)
    return leftovers.end(file) if is_locked(file) else False
