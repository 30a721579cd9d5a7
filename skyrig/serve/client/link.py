"""The line from a client, or the controller, to the steward on a service's head: over the same SSH connection as the
keeper's, and with its way of getting there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import ProtocolMismatch
from skyrig.fleet.ssh import asyncssh
from skyrig.launch.job import CONVERTER as REQUESTS
from skyrig.launch.job import JobRequest
from skyrig.launch.link import LOOK_PATIENCE_S, Channel, KeeperLink, keeper
from skyrig.launch.protocol import KeeperGone, Message, ask, receive, send
from skyrig.launch.runtime import code
from skyrig.serve.spec import CONVERTER, Secrets, ServiceSpec
from skyrig.serve.state import Snapshot

MODULE = "skyrig.serve.steward"
MAJOR = 1
"""Version of what is spoken with it; another one is refused."""


class StewardLink:
    """An open line to a cluster's steward, with `keeper`, a line to the keeper beside it. Made by `steward`. What is
    asked raises KeeperGone where no answer comes: the steward ended, and its successor is about to start."""

    def __init__(self, keeper_link: KeeperLink, channel: Channel) -> None:
        self.keeper = keeper_link
        self._channel = channel

    @property
    def desc(self) -> ClusterDescription:
        """The cluster as it was when the line was opened."""
        return self.keeper.desc

    async def apply(self, spec: ServiceSpec, request: JobRequest, secrets: Secrets) -> int:
        """Have `spec` be the service, with replicas made of `request`, whose files the keeper's store has; the version
        that it is. The same again is the same version; what differs begins an update. BadInput where another service is
        there, SkyrigError where this one is going down or its endpoint cannot be."""
        answer = await self._ask(
            op="apply",
            spec=CONVERTER.unstructure(spec),
            request=REQUESTS.unstructure(request),
            secrets=CONVERTER.unstructure(secrets),
            cluster=self.desc.public().to_json(),
        )
        return int(answer["version"])

    async def describe(self, desc: ClusterDescription | None = None) -> None:
        """Tell the cluster's nodes: those of `desc`, else as they were when the line was opened."""
        await self._ask(op="describe", cluster=(desc or self.desc).public().to_json())

    async def snapshot(self) -> Snapshot | None:
        """What is known of the service now; None where none is applied."""
        return _read(await self._ask(op="snapshot"))

    async def watch(self, *, capacity: bool = False) -> AsyncIterator[Snapshot | None]:
        """What is known of the service: now, at each change, and every five seconds at least, without end (KeeperGone
        where the line breaks). With `capacity` it is the one who watches that makes nodes where some are wanted, so
        updates wait longer for them."""
        reader, writer = await self._open()
        try:
            await send(writer, {"op": "watch", "capacity": capacity})
            while (received := await receive(reader)) is not None:
                yield _read(received[0])
        except (asyncssh.Error, OSError, EOFError) as error:
            raise KeeperGone(f"the steward went away: {error}", hint="run the same command again") from error
        finally:
            writer.close()
        raise KeeperGone("the steward closed the connection", hint="run the same command again")

    async def replace(self, replica_id: int) -> None:
        """End a replica; another one comes. BadInput where it is not there."""
        await self._ask(op="replace", id=replica_id)

    async def metrics(self) -> str:
        """The service's metrics in Prometheus's text form."""
        return str((await self._ask(op="metrics"))["text"])

    async def stop(self) -> None:
        """End the service; returns once nothing of it is left on the cluster."""
        await self._ask(op="stop")

    def close(self) -> None:
        """Close the line; the keeper's is whoever opened it's."""
        self._channel[1].close()

    async def hello(self) -> Message:
        """Who answers. ProtocolMismatch where it cannot be spoken with."""
        said = await self._ask(op="hello")
        if said["protocol"][0] != MAJOR:
            theirs = ".".join(map(str, said["protocol"]))
            raise ProtocolMismatch(
                f"the steward on {self.desc.head.id} speaks protocol {theirs}, this Skyrig {MAJOR}",
                hint="use the newer Skyrig of the two",
            )
        return said

    async def _open(self) -> Channel:
        return await self.keeper.beside(MODULE)

    async def _ask(self, **message: Any) -> Message:
        try:
            return (await ask(*self._channel, message))[0]
        except (asyncssh.Error, OSError, EOFError) as error:
            raise KeeperGone(f"the steward went away: {error}", hint="run the same command again") from error


def _read(message: Message) -> Snapshot | None:
    told = message["snapshot"]
    return CONVERTER.structure(told, Snapshot) if told is not None else None


@asynccontextmanager
async def steward(
    desc: ClusterDescription,
    *,
    patience_s: float = LOOK_PATIENCE_S,
    prepare: bool = False,
    notify: Callable[[str], None] = lambda line: None,
) -> AsyncIterator[StewardLink]:
    """A line to the steward of a service's cluster, started where none runs; one of an older build is started again.
    The arguments are those of skyrig.launch.link.keeper, and so is what it raises."""
    async with keeper(desc, patience_s=patience_s, prepare=prepare, notify=notify) as keeper_link:
        link = StewardLink(keeper_link, await keeper_link.beside(MODULE))
        try:
            if (await link.hello())["build"] != code.build():
                link.close()
                link = StewardLink(keeper_link, await keeper_link.beside(MODULE, fresh=True))
                await link.hello()
            yield link
        finally:
            link.close()
