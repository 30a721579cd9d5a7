"""What controller, steward and balancer tell, as it is written: files here, and files on a head."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import from_description
from skyrig.launch import nodeside
from skyrig.launch.link import LOOK_PATIENCE_S

_LOOK_S, _LOOK_THERE_S = 0.2, 1.0
"""How often a file here, and one on a head, is looked at again."""

_MOST_LINES = 10_000
_READ = 'f="$HOME/.skyrig/steward.log"; [ -f "$f" ] && exec tail -c "+$1" "$f"; exit 0'
"""Has a head write its steward's log from a byte on."""


def file(
    path: Path, out: BinaryIO, *, follow: bool, tail: int | None, until: Callable[[], bool] = lambda: False
) -> None:
    """Write a file of this machine to `out`, or its last `tail` lines, and with `follow` go on `until` that holds, or
    Ctrl-C."""
    text = path.read_bytes() if path.exists() else b""
    _write(out, _last(text, tail))
    at = len(text)
    while follow:
        follow = not until()  # what is written before that is still to come
        time.sleep(_LOOK_S)
        if path.exists() and path.stat().st_size != at:
            with path.open("rb") as lines:
                lines.seek(at if path.stat().st_size > at else 0)
                _write(out, lines.read())
                at = lines.tell()


async def steward(
    desc: ClusterDescription, out: BinaryIO, notify: Callable[[str], None], *, follow: bool, tail: int | None
) -> None:
    """Write what a head's steward and its balancer tell to `out`, as `file` does."""
    target, key = from_description(desc, desc.head.id), Credentials(desc.ssh.private_key)
    async with await connect(target, key, deadline_s=LOOK_PATIENCE_S) as connection:
        text = await _from(connection, 0)
        _write(out, _last(text, tail))
        at = len(text)
        while follow:
            await asyncio.sleep(_LOOK_THERE_S)
            text = await _from(connection, at)
            _write(out, text)
            at += len(text)


async def _from(connection: asyncssh.SSHClientConnection, at: int) -> bytes:
    """The log on the head from byte `at` on."""
    ran = await connection.run(nodeside.shell(_READ, str(at + 1)), encoding=None)
    if ran.returncode:
        raise SkyrigError("the steward's log cannot be read", hint="see ~/.skyrig/steward.log on the head")
    return ran.stdout if isinstance(ran.stdout, bytes) else b""


def _last(text: bytes, tail: int | None) -> bytes:
    return b"".join(text.splitlines(keepends=True)[-(_MOST_LINES if tail is None else tail) :]) if tail != 0 else b""


def _write(out: BinaryIO, text: bytes) -> None:
    out.write(text)
    out.flush()
