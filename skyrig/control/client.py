"""The controller as commands meet it: started where it does not run, told that something has changed, asked whether it
is there; and wards held while a command itself is at work on them."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from skyrig import __version__, standing
from skyrig.control import folder, held, table
from skyrig.control.ward import SERVICE
from skyrig.errors import SkyrigError

Notify = Callable[[str], None]
"""Takes one line for the reader."""

HEARTBEAT = "heartbeat"
"""The fact with which the controller says every few seconds that it is at work; its value is when it began."""

_ANSWERS_S = 5.0


@frozen
class ControllerState:
    """Whether the controller is `alive`, `since` when it is, or is not (None: it never was), and its `pid`."""

    alive: bool
    since: float | None = None
    pid: int | None = None


def ensure() -> None:
    """Start the controller where it does not run, and instead of one of an older Skyrig: milliseconds where it does."""
    process = folder.standing()
    if not process.answers() or _is_older():
        table.wards()  # a table that cannot be used is told to the reader, not to a log
        standing.ensure(process, outdated=_is_older)


def poke(name: str) -> None:
    """Have the controller look at a ward now, where it runs: it looks by itself a little later."""
    with contextlib.suppress(SkyrigError):
        ask({"op": "poke", "name": name})


def state() -> ControllerState:
    """Whether the controller is there. Starts nothing."""
    process = folder.standing() if folder.root().exists() else None
    pid = process.pid() if process is not None else None
    beat = table.fact(HEARTBEAT)
    if pid is not None:
        return ControllerState(True, float(beat[0]) if beat else None, pid)
    return ControllerState(False, beat[1] if beat else None)


def metrics() -> str:
    """The controller's own Prometheus metrics. SkyrigError where it is not there."""
    return str(ask({"op": "metrics"})["text"])


def ask(message: dict[str, Any]) -> dict[str, Any]:
    """One request to the controller, and its answer. SkyrigError where it does not answer, or with an error."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_ANSWERS_S)
        try:
            line.connect(str(folder.standing().socket()))
            line.sendall(json.dumps(message).encode() + b"\n")
            answer: dict[str, Any] = json.loads(line.makefile("rb").readline())
        except (OSError, ValueError) as error:
            raise SkyrigError("the controller does not answer", hint=f"see {folder.standing().log}") from error
    if "error" in answer:
        raise SkyrigError(str(answer["error"]))
    return answer


def _is_older() -> bool:
    """Whether the controller that answers is of an older release than this. One that is too busy to say is not."""
    try:
        return _numbers(str(ask({"op": "hello"})["release"])) < _numbers(__version__)
    except SkyrigError:
        return False


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".") if part.isdigit())


@contextlib.contextmanager
def holding(name: str, kind: str = SERVICE, notify: Notify = lambda line: None) -> Iterator[None]:
    """Keep the controller's hands off a ward while the block works on it: also before there is such a ward. Who holds
    it now is waited for, which is told. Where this process dies, the controller goes on with what the ward wishes."""
    descriptor = held.take(kind, name, wait=lambda: notify(f"waiting for what is at work on {kind} {name}"))
    try:
        yield
    finally:
        held.release(descriptor, kind, name)
    poke(name)
