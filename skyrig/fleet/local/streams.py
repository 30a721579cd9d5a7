"""Joining two connections, so that each side meets the other as if nothing lay between them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import NamedTuple

_CHUNK = 256 * 1024


class Stream(NamedTuple):
    """Both ends of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def join(one: Stream, other: Stream) -> None:
    """Carry bytes both ways, each way until its sender ends it: the other way may go on. No faster than either side
    takes them. Where one side breaks off, the other is broken off too. Both are closed afterwards."""
    ways = [
        asyncio.ensure_future(_carry(one.reader, other.writer)),
        asyncio.ensure_future(_carry(other.reader, one.writer)),
    ]
    try:
        await asyncio.gather(*ways)
    except OSError:
        break_off(one.writer)
        break_off(other.writer)
    finally:
        for way in ways:
            way.cancel()
        one.writer.close()
        other.writer.close()


def break_off(writer: asyncio.StreamWriter) -> None:
    """End a connection so that its other side sees an error and no regular end (TCP's reset)."""
    with contextlib.suppress(OSError):  # gone meanwhile
        own = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
