"""Connections to many nodes, opened on demand and shared.

An SSH server refuses the tenth session on one connection (OpenSSH's MaxSessions). So a connection carries at most
SESSIONS sessions, and further ones open another connection, which is closed again when it has been idle for IDLE_S.
Handshakes are paced (skyrig.fleet.pace), and each node's are one after another; who waits for a session gets it in
turn, from whichever connection has one first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType

from attrs import define, field

from skyrig.errors import SkyrigError, Unreachable
from skyrig.fleet import descriptors
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.pace import Pace
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target

SESSIONS = 8
"""Sessions on one connection; two fewer than sshd's default limit, for those opened on the connection directly."""
IDLE_S = 30.0
"""Seconds after which a node's second and later connections are closed, if nothing runs on them."""


@define(eq=False)
class _Link:
    """An open connection and the sessions taken on it."""

    connection: asyncssh.SSHClientConnection
    sessions: int = 0
    closing: asyncio.TimerHandle | None = None


@define(eq=False)
class _Lane:
    """All connections to one node, and those who wait for a session on one. `open_one` opens a connection."""

    target: Target
    open_one: Callable[[_Lane], Coroutine[None, None, asyncssh.SSHClientConnection]]
    links: list[_Link] = field(factory=list)
    waiting: deque[asyncio.Future[_Link]] = field(factory=deque)
    opening: asyncio.Task[None] | None = None

    async def take(self) -> _Link:
        """A link with a session taken on it. The error of the attempt that was waited for, if it fails."""
        link = self._free()
        if link is not None and not self.waiting:
            return self._taken(link)
        waiter: asyncio.Future[_Link] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiter)
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            self._leave(waiter)
            raise

    def release(self, link: _Link) -> None:
        """Give a session back: to who waits longest, if anybody does."""
        link.sessions -= 1
        if not link.sessions and link is not self.first():
            link.closing = asyncio.get_running_loop().call_later(IDLE_S, link.connection.close)
        self._serve()

    def first(self) -> _Link | None:
        """The oldest link that is still open."""
        self.links = [link for link in self.links if not link.connection.is_closed()]
        return self.links[0] if self.links else None

    def close(self) -> list[asyncssh.SSHClientConnection]:
        """Give up: an attempt under way is ended. Returns the connections, which are the caller's to close."""
        if self.opening:
            self.opening.cancel()
        dropped = Unreachable(f"the connection to node {self.target.id} was dropped", node_id=self.target.id)
        self._fail(dropped)
        return [link.connection for link in self.links]

    def _free(self) -> _Link | None:
        self.first()
        return next((link for link in self.links if link.sessions < SESSIONS), None)

    def _taken(self, link: _Link) -> _Link:
        link.sessions += 1
        if link.closing:
            link.closing.cancel()
            link.closing = None
        return link

    def _serve(self) -> None:
        """Hand out what is free; see that a connection is being opened while anybody waits."""
        while self.waiting and (link := self._free()):
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(self._taken(link))
        if self.waiting and self.opening is None:
            self.opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        try:
            opened = await self.open_one(self)
            self.links.append(_Link(opened))  # the list may have become another one while that took its time
        except (SkyrigError, asyncssh.Error, OSError) as error:
            self._fail(error)
        finally:  # after a cancellation, too, somebody may be waiting by now
            self.opening = None
            self._serve()

    def _fail(self, error: Exception) -> None:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error)

    def _leave(self, waiter: asyncio.Future[_Link]) -> None:
        with contextlib.suppress(ValueError):
            self.waiting.remove(waiter)
        if not self.waiting and self.opening:
            self.opening.cancel()


class Pool:
    """Shared connections to nodes, all opened with one key. Use as `async with Pool(key) as pool`.

    Every method that needs a connection raises Unreachable or HostKeyMismatch as `connect` does, at the latest
    `deadline_s` seconds after it began to try, and TooManyFiles where this process may not open as many. Those who wait
    for the same attempt share its end.
    """

    def __init__(self, key: Credentials, *, deadline_s: float = 30) -> None:
        self._key = key
        self._deadline_s = deadline_s
        self._lanes: dict[str, _Lane] = {}
        self._pace = Pace()

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
        lane = await self._lane(target)
        link = lane.first()
        if link is None:
            link = await lane.take()
            lane.release(link)
        return link.connection

    @asynccontextmanager
    async def session(self, target: Target) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection to `target` with one session slot on it, for the length of the `async with`."""
        lane = await self._lane(target)
        link = await lane.take()
        try:
            yield link.connection
        finally:
            lane.release(link)

    async def drop(self, target_id: str) -> None:
        """Close every connection to one node, at once; what runs on them ends with NodeLost."""
        lane = self._lanes.pop(target_id, None)
        if lane is not None:
            await _shut(lane.close())

    async def close(self) -> None:
        """Close every connection."""
        lanes, self._lanes = self._lanes, {}
        await _shut([connection for lane in lanes.values() for connection in lane.close()])

    async def _open(self, lane: _Lane) -> asyncssh.SSHClientConnection:
        """One more connection for `lane`."""
        via = await self.connection(lane.target.jump) if lane.target.jump else None
        with descriptors.room():
            opened = await connect(lane.target, self._key, deadline_s=self._deadline_s, via=via, pace=self._pace)
        return descriptors.count(opened)

    async def _lane(self, target: Target) -> _Lane:
        lane = self._lanes.get(target.id)
        if lane is not None and lane.target != target:  # the node came back elsewhere, or with another key
            await self.drop(target.id)
            lane = None
        return lane or self._lanes.setdefault(target.id, _Lane(target, self._open))


async def _shut(connections: list[asyncssh.SSHClientConnection]) -> None:
    for connection in connections:
        connection.abort()
    await asyncio.gather(*(connection.wait_closed() for connection in connections))
