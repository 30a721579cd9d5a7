"""When a handshake may begin: not too many at a time, and fewer where a server drops them.

OpenSSH drops handshakes at random once ten are under way on one server (MaxStartups), and others may be at its door
too. So a server that dropped one gets half as many from us at a time, and one more after each that went well. A server
that says nothing at all keeps its turn for SILENT_S only: dead nodes must not hold up living ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import define, field

HANDSHAKES = 64
"""Handshakes of one pool at a time, over all servers."""
PER_SERVER = 8
"""Handshakes of one pool with one server at a time, at most: two fewer than those from which on sshd drops some."""
SILENT_S = 2.0
"""Seconds in which a server must begin to speak, or others have its turn."""


@define(eq=False)
class Door:
    """The handshakes of one server. `width` is how many may be under way at a time."""

    width: float = PER_SERVER
    under_way: int = 0
    free: asyncio.Condition = field(factory=asyncio.Condition)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn at this server, and have it."""
        async with self.free:
            await self.free.wait_for(lambda: self.under_way < max(1, int(self.width)))
            self.under_way += 1
        try:
            yield
        finally:
            async with self.free:
                self.under_way -= 1
                self.free.notify_all()

    def dropped(self) -> None:
        """The server has dropped a handshake."""
        self.width = max(1.0, self.width / 2)

    def went_well(self) -> None:
        """A handshake has come to its end."""
        self.width = min(float(PER_SERVER), self.width + 1)


class Pace:
    """The turns of one pool, first come first served."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(HANDSHAKES)
        self._doors: dict[object, Door] = {}

    def door(self, where: object) -> Door:
        """The door of the server known as `where` (any value that can be a key)."""
        return self._doors.setdefault(where, Door())

    @asynccontextmanager
    async def turn(self, door: Door, silent: Callable[[], bool]) -> AsyncIterator[None]:
        """A turn for one handshake. If `silent` after SILENT_S, the turn is somebody else's from then on."""
        async with door.turn():
            await self._turns.acquire()
            held = True

            def give_back() -> None:
                nonlocal held
                if held:
                    held = False
                    self._turns.release()

            timer = asyncio.get_running_loop().call_later(SILENT_S, lambda: give_back() if silent() else None)
            try:
                yield
            finally:
                timer.cancel()
                give_back()
