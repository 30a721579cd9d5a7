"""What the controller's node does for commands elsewhere: `python -I -m skyrig.seated` reads one request and does it as
a command on this machine would (skyrig.seat.line says what is sent and what comes back).

Its SKYRIG_HOME is `~/.skyrig/seat`, its project of the engine's lies in there, and its credentials are the node's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from skyrig import managing, places, verbs
from skyrig.control import settings
from skyrig.errors import SkyrigError
from skyrig.jobs.following import Wanted
from skyrig.jobs.seen import Seen
from skyrig.jobs.state import CONVERTER
from skyrig.managing import Options
from skyrig.seat import bundle
from skyrig.stack import project
from skyrig.task.model import TaskFile

HOME = Path("~/.skyrig/seat")
"""The SKYRIG_HOME of the controller on its node."""

_PIECE = 1 << 16


class Caller:
    """Who asked: is told lines, and answers questions."""

    def __init__(self, given: BinaryIO, told: BinaryIO, out: BinaryIO) -> None:
        self._given, self._told, self.out = given, told, out

    def send(self, **message: Any) -> None:
        """One line of JSON."""
        self._told.write(json.dumps(message).encode() + b"\n")
        self._told.flush()

    def notify(self, line: str) -> None:
        """Tell a line."""
        self.send(say=line)

    def confirm(self, question: str) -> bool:
        """Ask a question."""
        self.send(ask=str(question))
        return bool(json.loads(self._given.readline())["answer"])

    def leave_with(self) -> None:
        """End this program when who asked goes away: nobody reads what it follows any more."""

        def wait() -> None:
            while self._given.read(1):
                pass
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()


def main() -> int:
    """Do one request."""
    caller = Caller(sys.stdin.buffer, os.fdopen(os.dup(2), "wb"), os.fdopen(os.dup(1), "wb"))
    request = json.loads(sys.stdin.buffer.readline())
    _settle(request["environment"])
    with tempfile.TemporaryDirectory(prefix="skyrig-seated-", ignore_cleanup_errors=True) as scratch:
        archive = Path(scratch, "tasks.tar")
        _received(sys.stdin.buffer, archive, int(request["size"]))
        try:
            value = _OPS[request["op"]](caller, request["words"], archive)
        except SkyrigError as error:
            kind = next(each.__name__ for each in type(error).__mro__ if each.__module__ == "skyrig.errors")
            caller.send(error={"kind": kind, "message": error.message, "hint": error.hint})
            return error.exit_code
    caller.send(value=value)
    return 0


def _settle(environment: dict[str, str]) -> None:
    """Make this process one of the controller's home and project."""
    os.environ.update(environment)
    os.environ["SKYRIG_HOME"] = str(HOME.expanduser())
    os.environ[settings.SEAT] = settings.HERE
    for name in ("PULUMI_STACK", "SKYRIG_NODE_ID"):
        os.environ.pop(name, None)
    places.made(places.home())
    os.chdir(project.own())


def _received(given: BinaryIO, archive: Path, size: int) -> None:
    with archive.open("wb") as file:
        while size > 0 and (piece := given.read(min(_PIECE, size))):
            file.write(piece)
            size -= len(piece)
    if size:
        raise EOFError("the archive was cut off")


def _launch(caller: Caller, words: dict[str, Any], archive: Path) -> Any:
    tasks = bundle.unpacked(archive, archive.with_name("tasks"), words["values"])
    file = TaskFile(tasks, words["name"], words["execution"], len(tasks) > 1, words["group"])
    options = CONVERTER.structure(words["options"], Options)
    job = managing.launch(file, options, caller.notify, caller.confirm)
    return CONVERTER.unstructure(job)


def _queue(caller: Caller, words: dict[str, Any], _: Path) -> Any:
    return CONVERTER.unstructure(managing.queue(**words, notify=caller.notify))


def _find(_: Caller, words: dict[str, Any], __: Path) -> Any:
    return CONVERTER.unstructure(managing.find(**words))


def _follow(caller: Caller, words: dict[str, Any], _: Path) -> Any:
    caller.leave_with()
    wanted = CONVERTER.structure(words["wanted"], Wanted)
    return managing.follow(words["job_id"], wanted, caller.out, caller.notify, fresh=words["fresh"])


def _controller_log(caller: Caller, words: dict[str, Any], _: Path) -> Any:
    caller.leave_with()
    return managing.controller_log(words["job_id"], caller.out, follow=words["follow"], tail=words["tail"])


def _cancel(caller: Caller, words: dict[str, Any], _: Path) -> Any:
    jobs = [CONVERTER.structure(each, Seen) for each in words["jobs"]]
    return managing.cancel(jobs, caller.notify, lambda question: True)  # it was asked where the reader is


def _clusters(caller: Caller, _: dict[str, Any], __: Path) -> Any:
    return [CONVERTER.unstructure(each) for each in verbs.clusters(notify=caller.notify)]


_OPS: dict[str, Callable[[Caller, dict[str, Any], Path], Any]] = {
    "launch": _launch,
    "queue": _queue,
    "find": _find,
    "follow": _follow,
    "controller_log": _controller_log,
    "cancel": _cancel,
    "clusters": _clusters,
}

if __name__ == "__main__":
    code = main()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)
