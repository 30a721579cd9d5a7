"""Connections to many nodes, opened on demand and shared.

An SSH server refuses the tenth session on one connection (OpenSSH's MaxSessions), and starts dropping handshakes when
many come at once (MaxStartups). So a connection carries at most SESSIONS sessions, further ones open another
connection, and at most HANDSHAKES handshakes run at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

import asyncssh
from attrs import define, field

from skyrig.errors import Unreachable
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.target import Target

SESSIONS = 8
"""Sessions on one connection; two fewer than sshd's default limit, for those opened on the connection directly."""
HANDSHAKES = 16
"""Handshakes of one pool at a time."""


@define
class _Link:
    """An open connection and the sessions taken on it."""

    connection: asyncssh.SSHClientConnection
    sessions: int = 0


@define(eq=False)
class _Lane:
    """All connections to one node. `lock` is held while one is opened, so that waiters share it."""

    target: Target
    links: list[_Link] = field(factory=list)
    lock: asyncio.Lock = field(factory=asyncio.Lock)

    def open_link(self, *, with_slot: bool) -> _Link | None:
        """The first connection that is still open, and has a session slot left if `with_slot`."""
        self.links = [link for link in self.links if not link.connection.is_closed()]
        return next((link for link in self.links if link.sessions < SESSIONS or not with_slot), None)


class Pool:
    """Shared connections to nodes, all opened with one key. Use as `async with Pool(key) as pool`.

    Every method that needs a connection raises Unreachable or HostKeyMismatch as `connect` does, at the latest
    `deadline_s` seconds after it began to try.
    """

    def __init__(self, key: Credentials, *, deadline_s: float = 30) -> None:
        self._key = key
        self._deadline_s = deadline_s
        self._lanes: dict[str, _Lane] = {}
        self._gate = asyncio.Semaphore(HANDSHAKES)

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connection(self, target: Target) -> asyncssh.SSHClientConnection:
        """The first connection to `target`, opened if there is none or it has ended.

        For uses that take no session slot: forwardings, the keeper's socket. For commands use `session`.
        """
        return (await self._link(target, with_slot=False)).connection

    @asynccontextmanager
    async def session(self, target: Target) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection to `target` with one session slot on it, for the length of the `async with`."""
        link = await self._link(target, with_slot=True)
        try:
            yield link.connection
        finally:
            link.sessions -= 1

    async def drop(self, target_id: str) -> None:
        """Close every connection to one node, at once; what runs on them ends with NodeLost."""
        lane = self._lanes.pop(target_id, None)
        if lane is not None:
            await _shut([link.connection for link in lane.links])

    async def close(self) -> None:
        """Close every connection."""
        lanes, self._lanes = self._lanes, {}
        await _shut([link.connection for lane in lanes.values() for link in lane.links])

    async def _link(self, target: Target, *, with_slot: bool) -> _Link:
        """A link to `target`, with a session slot taken on it if `with_slot`."""
        lane = await self._lane(target)
        async with lane.lock:
            link = lane.open_link(with_slot=with_slot)
            if link is None:
                via = await self.connection(target.jump) if target.jump else None
                opened = await connect(target, self._key, deadline_s=self._deadline_s, via=via, gate=self._gate)
                if self._lanes.get(target.id) is not lane:  # dropped or closed meanwhile: nobody would close this one
                    opened.abort()
                    raise Unreachable(f"the connection to node {target.id} was dropped", node_id=target.id)
                link = _Link(opened)
                lane.links.append(link)
            link.sessions += with_slot
            return link

    async def _lane(self, target: Target) -> _Lane:
        lane = self._lanes.get(target.id)
        if lane is not None and lane.target != target:  # the node came back elsewhere, or with another key
            await self.drop(target.id)
            lane = None
        return lane or self._lanes.setdefault(target.id, _Lane(target))


async def _shut(connections: list[asyncssh.SSHClientConnection]) -> None:
    for connection in connections:
        connection.abort()
    await asyncio.gather(*(connection.wait_closed() for connection in connections))
