"""The client's side of watching one job of a cluster: what its keeper sees, as it sees it, over one SSH connection to
the head that stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.fleet.deadline import timeout
from skyrig.fleet.ssh import asyncssh
from skyrig.launch.job import CONVERTER
from skyrig.launch.link import LOOK_PATIENCE_S, KeeperLink, keeper
from skyrig.launch.protocol import KeeperGone, receive, send
from skyrig.launch.sight import Sight

Notify = Callable[[str], None]
"""Takes one line for the user."""

SILENT_S = 20.0
"""A keeper tells what it sees every 5 s; after this long without a word it counts as gone."""


class Watch:
    """A line on which a keeper tells of one job. Made by `watching`."""

    def __init__(self, link: KeeperLink, notify: Notify) -> None:
        self._link = link
        self._notify = notify

    async def sights(self) -> AsyncIterator[Sight]:
        """What the keeper sees: first as it is now, then at each change, and every few seconds. It goes on after the
        job's end, until the caller leaves. KeeperGone where the keeper is heard no more; NodeLost where the head is."""
        while True:
            try:
                async with timeout(SILENT_S):
                    received = await receive(self._link.reader)
            except asyncio.TimeoutError as error:
                raise KeeperGone("the keeper says nothing any more", hint="run the same command again") from error
            except (asyncssh.Error, OSError, EOFError) as error:
                raise self._link.broken(error) from error
            if received is None:
                raise self._link.broken(EOFError("it closed the connection"))
            message = received[0]
            if "error" in message:
                raise SkyrigError(message["error"], hint=message.get("hint"))
            if "sight" in message:
                yield CONVERTER.structure(message["sight"], Sight)
            elif "refused" in message:
                self._notify(f"{self._link.desc.name}: {message['refused']}")

    async def lease(self, left_s: float, said: str) -> None:
        """Let the controller's lease on the cluster run for `left_s` seconds from now; `said` is how long it is, in
        words. A cluster that cannot end itself refuses it: `notify` is told. KeeperGone and NodeLost where that is
        known already; it is `sights` that tells that the line broke."""
        await self._say({"left_s": left_s, "said": said})

    async def release(self) -> None:
        """End the lease: the cluster goes on without a controller."""
        await self._say(None)

    async def _say(self, lease: dict[str, object] | None) -> None:
        try:
            await send(self._link.writer, {"lease": lease})
        except (asyncssh.Error, OSError, EOFError) as error:
            raise self._link.broken(error) from error


@asynccontextmanager
async def watching(
    desc: ClusterDescription,
    key: str,
    *,
    patience_s: float = LOOK_PATIENCE_S,
    notify: Notify = lambda line: None,
) -> AsyncIterator[Watch]:
    """Watch the job whose request had `key`, which may only be submitted later. NodeLost if the head does not answer
    within `patience_s` seconds; NoRuntime where it was never used."""
    async with keeper(desc, patience_s=patience_s, notify=notify) as link:
        try:
            await send(link.writer, {"op": "watch", "key": key})
        except (asyncssh.Error, OSError, EOFError) as error:
            raise link.broken(error) from error
        yield Watch(link, notify)
