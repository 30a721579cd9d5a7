"""The protocol between client and keeper: JSON lines over a unix socket, each with optional bytes behind it.

A message is one line of JSON; where it holds `len`, that many raw bytes follow. A request has `op`; its answer is one
message (or, for `follow`, many, the last with `event: end`; for `watch` many without an end) and holds `error` where it
failed. One connection carries one request at a time. Versions one minor step apart work together; another major version
is refused at `hello`.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from skyrig.errors import BadInput, ProtocolMismatch, SkyrigError

MAJOR, MINOR = 1, 5
"""Version of the protocol that this code speaks. 1.2 has `autostop`, `hold` in `hello`, and mounts; 1.3 buckets and
`flush`; 1.4 `watch`; 1.5 `preflight` and `uncordon`."""

LINE_LIMIT = 64 * 1024 * 1024
"""Longest JSON line in bytes; the manifest of a million files stays under it."""

Message = dict[str, Any]


class KeeperGone(SkyrigError):
    """The keeper closed the connection before it answered: it ended, and its successor is about to start."""


class Reader(Protocol):
    """What is needed of a byte stream to read messages (asyncio's and asyncssh's both have it)."""

    async def readuntil(self, separator: bytes) -> bytes:
        """Bytes up to and with `separator`."""

    async def readexactly(self, n: int) -> bytes:
        """Exactly `n` bytes."""


class Writer(Protocol):
    """What is needed of a byte stream to write messages."""

    def write(self, data: bytes) -> None:
        """Queue `data`."""

    async def drain(self) -> None:
        """Wait until the peer has room for more."""


def encode(message: Message, payload: bytes | None = None) -> bytes:
    """One message as bytes. Text with surrogate escapes survives, since JSON is written in ASCII."""
    if payload is None:
        return json.dumps(message).encode() + b"\n"
    return json.dumps({**message, "len": len(payload)}).encode() + b"\n" + payload


async def send(writer: Writer, message: Message, payload: bytes | None = None) -> None:
    """Write one message and wait until it is taken."""
    writer.write(encode(message, payload))
    await writer.drain()


async def receive(reader: Reader) -> tuple[Message, bytes] | None:
    """The next message with its payload (b"" if none); None at the end of the stream."""
    try:
        line = await reader.readuntil(b"\n")
    except EOFError:
        return None
    message: Message = json.loads(line)
    payload = await reader.readexactly(message["len"]) if "len" in message else b""
    return message, payload


async def ask(reader: Reader, writer: Writer, message: Message, payload: bytes | None = None) -> tuple[Message, bytes]:
    """Send one request and return its one answer; KeeperGone if it ended before, SkyrigError if it answered with an
    error."""
    await send(writer, message, payload)
    answered = await receive(reader)
    if answered is None:
        raise KeeperGone("the keeper closed the connection", hint="run the same command again")
    if "error" in answered[0]:
        kind = BadInput if answered[0].get("code") == BadInput.exit_code else SkyrigError
        raise kind(answered[0]["error"], hint=answered[0].get("hint"))
    return answered


def check_version(major: int, minor: int) -> None:
    """Refuse a peer whose version does not fit (ProtocolMismatch)."""
    if major == MAJOR and abs(minor - MINOR) <= 1:
        return
    newer = (major, minor) > (MAJOR, MINOR)
    raise ProtocolMismatch(
        f"the cluster's keeper speaks protocol {major}.{minor}, this Skyrig {MAJOR}.{MINOR}",
        hint="use the newer Skyrig that started it" if newer else "run this on the clone that made the cluster",
    )
