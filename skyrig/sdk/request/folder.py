"""What is kept of one request: a folder below SKYRIG_HOME/requests, readable by its owner alone.

`request.json` says what was asked for, `lines` is what the worker tells, `answer.json` the end, which stands there
whole or not at all. The worker holds a lock on `running` as long as it lives, so that one which was killed is
known to be gone. What was given to it (tasks with their secrets) is never written down.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from skyrig import places
from skyrig.errors import BadInput

KEPT = 100
"""How many ended requests are kept; the oldest ones go when a new one is made."""


class Folder:
    """The folder of one request."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """Id of the request."""
        return self.path.name

    @property
    def lines(self) -> Path:
        """The file of what the worker tells."""
        return self.path / "lines"

    def said(self) -> dict[str, Any]:
        """What was asked for: `name`, `cluster`, `created_at`, and `pid` of the worker once it is started."""
        return self._read("request.json")

    def say(self, **fields: Any) -> None:
        """Write that down."""
        self._write("request.json", fields)

    def answer(self) -> dict[str, Any] | None:
        """The end: `status`, `ended_at`, and `value` or `error`. None while there is none."""
        return self._read("answer.json") or None

    def give(self, **fields: Any) -> None:
        """Write the end down."""
        self._write("answer.json", fields)

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked for its end."""
        return (self.path / "cancelled").exists()

    def mark_cancelled(self) -> None:
        """Remember that somebody asks for its end."""
        (self.path / "cancelled").touch()

    @contextmanager
    def held(self) -> Iterator[int]:
        """The lock that the worker is to inherit, as a descriptor."""
        descriptor = os.open(self.path / "running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def runs(self, *, wait: bool = False) -> bool:
        """Whether its worker lives. With `wait` it is waited for, and the answer is no."""
        try:
            with (self.path / "running").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH if wait else fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            pass
        return False

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _write(self, name: str, fields: dict[str, Any]) -> None:
        new = self.path / f"{name}.new"
        new.write_text(json.dumps(fields))
        new.replace(self.path / name)


def made() -> Folder:
    """The folder of a new request."""
    _prune()
    return Folder(places.made(places.requests() / str(uuid.uuid4())))


def find(request_id: str) -> Folder:
    """The folder of a request, also by the first characters of its id. BadInput where there is none, or more."""
    if not request_id or not set(request_id) <= set("0123456789abcdef-"):
        raise BadInput(f"{request_id!r} is no id of a request")
    found = [Folder(path) for path in places.requests().glob(f"{request_id}*")]
    if len(found) != 1:
        raise BadInput(f"{len(found) or 'no'} requests have an id that begins with {request_id}")
    return found[0]


def known() -> list[Folder]:
    """All requests, the newest first."""
    folders = [Folder(path) for path in places.requests().glob("*-*")]
    return sorted(folders, key=lambda each: each.said().get("created_at", 0.0), reverse=True)


def _prune() -> None:
    ended = [folder for folder in known() if folder.said() and not folder.runs()]
    for folder in ended[KEPT:]:
        with suppress(OSError):
            shutil.rmtree(folder.path)
