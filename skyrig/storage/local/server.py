"""The S3 server of one stack: started, looked at and stopped.

That it lives is told by a lock that it holds for its life: it is handed the open file and keeps it, so no pid is
trusted. Its keys come to it by environment. `--keep-alive` lets one connection serve many requests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import field, frozen

from skyrig import places
from skyrig.errors import SkyrigError
from skyrig.fleet.local import processes
from skyrig.fleet.local.files import locked, take_lock, wait_for
from skyrig.storage import programs
from skyrig.storage.local import leftovers

HOST = "127.0.0.1"

PORTS = range(20000, 32000)
"""Where a port is looked for: below those that systems give to outgoing connections, so that it is free after a
restart too."""

LOG_BYTES = 1 << 20
"""The log is emptied when it is longer, at each look at the server."""

_TRIES = 20
_START_S = 15.0
_END_S = 5.0
_TURN_S = 60.0
_TAKEN = "address already in use"


class BucketServerError(SkyrigError):
    """The S3 server of the local cloud could not be started, stopped or used."""


@frozen
class Keys:
    """What the server lets in: one access key and its secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @property
    def options(self) -> dict[str, str]:
        """The secret options of rclone."""
        return {"access_key_id": self.access_key_id, "secret_access_key": self.secret_access_key}

    @property
    def mark(self) -> str:
        """What tells these keys from others, and gives them away to nobody."""
        return hashlib.sha256(f"{self.access_key_id}\n{self.secret_access_key}".encode()).hexdigest()[:16]


def ensure(stack: str, keys: Keys) -> dict[str, Any]:
    """The running server of `stack`, for a client that knows its keys: started again on its data where it is gone,
    after a reboot for instance. Its port is the one of before where that is still free. Once a day it drops uploads
    that were never finished."""
    folder = places.storage(stack)
    found = start(folder, keys)
    with contextlib.suppress(SkyrigError):  # another day will do, and whoever wants the server has it
        leftovers.clear(data(folder), folder / "cleared", found["endpoint"], keys.options)
    return found


def start(folder: Path, keys: Keys) -> dict[str, Any]:
    """The server of `folder` with these keys; started unless it runs. Gives `port`, `endpoint`, `pid`, `incarnation`
    and `folder`. BucketServerError where it does not start."""
    if (found := check(folder)) and found["keys"] == keys.mark:
        return found
    program = programs.versitygw()
    with _turn(folder):
        found = check(folder)
        if found and found["keys"] == keys.mark:
            return found
        _end(folder)
        for port in _ports(folder):
            if _launch(folder, program, port, keys):
                return check(folder)
    raise BucketServerError(f"no port is free for the bucket server of {folder}")


def check(folder: Path) -> dict[str, Any]:
    """What was said of the server when it started; nothing where it is gone, or not there yet."""
    try:
        state: dict[str, Any] = json.loads(_state(folder).read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    if not locked(_lock(folder)):
        return {}
    with contextlib.suppress(FileNotFoundError):
        if (folder / "log").stat().st_size > LOG_BYTES:
            os.truncate(folder / "log", 0)
    return state


def stop(folder: Path) -> dict[str, Any]:
    """End the server; its data stays. Nothing where there is none."""
    if folder.is_dir():
        with _turn(folder):
            _end(folder)
    return {}


def data(folder: Path) -> Path:
    """Where the buckets are, a folder each."""
    return folder / "data"


def sidecar(folder: Path) -> Path:
    """Where what is known of objects is kept, if the data's file system has no extended attributes."""
    return folder / "about"


def _state(folder: Path) -> Path:
    return folder / "server.json"


def _lock(folder: Path) -> Path:
    return folder / "alive.lock"


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One at a time starts and stops the server."""
    places.made(folder)
    held = wait_for(lambda: take_lock(folder / "turn.lock"), _TURN_S)
    if held is None:
        raise BucketServerError(f"another program starts or stops the bucket server of {folder}", hint="try again")
    try:
        yield
    finally:
        os.close(held)


def _end(folder: Path) -> None:
    _state(folder).unlink(missing_ok=True)
    for number, patience in ((signal.SIGTERM, _END_S), (signal.SIGKILL, _END_S)):
        if not locked(_lock(folder)):
            return
        for pid in processes.holding(_lock(folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_for(lambda: None if locked(_lock(folder)) else True, patience):
            return
    raise BucketServerError(f"the bucket server of {folder} does not end", hint="end it by hand")


def _ports(folder: Path) -> Iterator[int]:
    """Ports to try: the one of before, then others that are free."""
    kept = folder / "port"
    if kept.exists() and (number := kept.read_text().strip()).isdigit() and _is_free(int(number)):
        yield int(number)
    for port in random.sample(PORTS, _TRIES):
        if _is_free(port):
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _launch(folder: Path, program: Path, port: int, keys: Keys) -> bool:
    """Start the server on `port` and wait until it answers; false where another program has taken that port."""
    places.made(data(folder))
    lock = take_lock(_lock(folder))
    if lock is None:
        raise BucketServerError(f"another bucket server has {folder}")
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                _command(folder, program, port),
                cwd=folder,
                env=_environment(folder, keys),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),
            )
    finally:
        os.close(lock)
    answered = wait_for(lambda: _outcome(process, port), _START_S, 0.01)
    if not answered:
        process.kill()
        process.wait()
        said = (folder / "log").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        if _TAKEN in said[-1]:
            return False
        raise BucketServerError(f"the bucket server did not start: {said[-1][:200]}")
    process.returncode = 0  # it lives on: nobody waits for it here
    (folder / "port").write_text(f"{port}\n")
    state = {"port": port, "endpoint": f"http://{HOST}:{port}", "pid": process.pid, "folder": str(folder)}
    state |= {"incarnation": secrets.token_hex(8), "keys": keys.mark, "started": time.time()}
    fresh = _state(folder).with_suffix(".new")
    fresh.write_text(json.dumps(state))
    fresh.replace(_state(folder))
    return True


def _outcome(process: subprocess.Popen[bytes], port: int) -> bool | None:
    """True where the server answers, false where it has ended, None while neither is so."""
    if process.poll() is not None:
        return False
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{HOST}:{port}/health", timeout=1.0) as answer:
            return True if answer.status == 200 else None
    except (OSError, urllib.error.URLError):
        return None


def _command(folder: Path, program: Path, port: int) -> list[str]:
    command = [str(program), "--port", f"{HOST}:{port}", "--quiet", "--keep-alive", "--health", "/health", "posix"]
    command += ["--disable-object-lock-file"]  # this one is the only gateway of its folder
    if not _has_attributes(data(folder)):
        command += ["--sidecar", str(places.made(sidecar(folder)))]
    return [*command, str(data(folder))]


def _has_attributes(folder: Path) -> bool:
    """Whether files in `folder` can have extended attributes. Once a sidecar was needed it is used for good."""
    if sidecar(folder.parent).exists() or not hasattr(os, "setxattr"):
        return not sidecar(folder.parent).exists() and hasattr(os, "setxattr")
    try:
        os.setxattr(folder, "user.skyrig", b"1")
    except OSError:
        return False
    return True


def _environment(folder: Path, keys: Keys) -> dict[str, str]:
    own = {"PATH": os.defpath, "HOME": str(folder)}
    return own | {"ROOT_ACCESS_KEY": keys.access_key_id, "ROOT_SECRET_KEY": keys.secret_access_key}
