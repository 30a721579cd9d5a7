"""Commands on nodes, begun on sessions of a pool."""

from __future__ import annotations

import asyncio
from typing import Any

from skyrig.errors import SkyrigError
from skyrig.fleet.ssh import asyncssh

BREAKS = (SkyrigError, asyncssh.Error, OSError, EOFError, ValueError, asyncio.TimeoutError)
"""What a broken connection, a node that went away, or a garbled stream raises to whoever follows a process."""

_AGAIN_S = (0.01, 0.1, 1.0)
"""Pauses before a session that was refused is asked for again."""


async def begin(
    connection: asyncssh.SSHClientConnection, command: str, **options: Any
) -> asyncssh.SSHClientProcess[bytes]:
    """A process that runs `command`, with streams of bytes; `options` are those of asyncssh's create_process.

    OpenSSH counts a session that has ended until it has looked at all that came with the end's last word. So one whose
    turn it is by our count may be refused by its (MaxSessions), for a moment: it is asked for again. ChannelOpenError
    where that goes on.
    """
    for pause in _AGAIN_S:
        try:
            return await connection.create_process(command, encoding=None, **options)
        except asyncssh.ChannelOpenError:
            if connection.is_closed():
                raise
        await asyncio.sleep(pause)
    return await connection.create_process(command, encoding=None, **options)
