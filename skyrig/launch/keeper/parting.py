"""How a cluster leaves by itself: jobs end, records and logs are brought home, then each node switches itself off, the
head last. Nodes do it to themselves, with the command that their cloud names in the description's `power`: no node can
do anything to another one but ask it over SSH.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from attrs import evolve

from skyrig.cluster.autostop import NOTE, AutostopNote
from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import inside
from skyrig.launch import nodeside
from skyrig.launch.keeper.archive import Archive
from skyrig.launch.keeper.idle import Terminals

_LOOK_S = 10.0
"""How long a node may take to say whether a terminal is open there; one that is silent has none."""

_WRITE_S = 30.0
"""How long jobs may take to end, and then records and logs to be brought home."""

_FOLLOWERS_S = 10.0
"""How long followers of jobs that have ended may take to read on to the end."""

_NODES_S = 60.0
"""How long nodes that do not answer are asked to switch themselves off, before the head goes without them."""

_AGAIN_S = 2.0

_TERMINATED = 128 + signal.SIGTERM
"""Exit code of a command that was ended with all else on a node which goes down."""


class House(Protocol):
    """What is needed of the keeper."""

    log: logging.Logger
    archive: Archive
    pool: Pool
    following: set[object]

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    async def cancel(self, job_ids: Sequence[int] | None, reason: str = "cancelled") -> list[int]:
        """End jobs, all with None."""

    async def settle(self) -> None:
        """Bring records and logs to the records folder."""

    async def flush(self, say: Callable[[str], None]) -> list[str]:
        """Wait until what was written on nodes is in its buckets; what is not, in words."""


def command(cluster: ClusterDescription, *, down: bool) -> str:
    """The command with which a node of the cluster stops itself (`down`: ends itself for good). BadInput where its
    cloud has none."""
    found = cluster.power.end_itself if down else cluster.power.stop_itself
    if not found:
        what = "end" if down else "stop"
        why = cluster.power.refused or f"its description does not say how they {what} themselves"
        raise BadInput(f"nodes of {cluster.name} cannot {what} themselves: {why}", hint=f"`up -c {cluster.name}` first")
    return found


async def terminals(pool: Pool, cluster: ClusterDescription) -> Terminals:
    """Terminals on all nodes, asked at once; see skyrig.launch.terminals for what is looked at."""
    program, stdin = nodeside.program("terminals", {})
    asking = (_asked(pool, node, program, stdin) for node in cluster.nodes)
    found = [said for said in await asyncio.gather(*asking) if said is not None]
    closed = [said["closed_s"] for said in found if said["closed_s"] is not None]
    return Terminals(any(said["open"] for said in found), min(closed, default=None))


async def _asked(pool: Pool, node: Node, program: str, stdin: bytes) -> dict[str, Any] | None:
    try:
        async with timeout(_LOOK_S):
            done = await fanout.run(pool, inside(node), program, stdin=stdin)
        said: dict[str, Any] = json.loads(done.stdout)
    except (SkyrigError, asyncio.TimeoutError, ValueError):
        return None
    return said


class Parting:
    """One leave-taking, for `reason`; each step may be repeated."""

    def __init__(self, house: House, reason: str, *, down: bool, note: AutostopNote) -> None:
        self._house = house
        self._reason = reason
        self._note = note
        self._down = down

    async def run(self) -> None:
        """All of it. Returns where the head's own command has not ended it (yet). BadInput where the cluster, described
        anew since it was asked for this, cannot do it any more."""
        house = self._house
        order = command(house.cluster, down=self._down)
        await self._within(_WRITE_S, house.cancel(None, self._reason), "jobs did not end")
        not_up = await house.flush(house.log.info)
        for each in not_up:
            house.log.warning("autostop: not in its bucket: %s", each)
        house.archive.keep(NOTE, json.dumps(evolve(self._note, not_up=tuple(not_up)).to_json()))
        await self._within(_WRITE_S, house.settle(), "records were not brought home")
        await self._followers()
        head, others = house.cluster.head, house.cluster.nodes[1:]
        await asyncio.gather(*(self._told(node, order) for node in others))
        await self._own(head, order)

    async def _within(self, seconds: float, work: Awaitable[object], otherwise: str) -> None:
        try:
            async with timeout(seconds):
                await work
        except asyncio.TimeoutError:
            self._house.log.warning("autostop: %s within %.0f s", otherwise, seconds)

    async def _followers(self) -> None:
        """Let clients read the end of what they follow: it is what their exit code comes from."""
        deadline = time.monotonic() + _FOLLOWERS_S
        while self._house.following and time.monotonic() < deadline:  # noqa: ASYNC110  (an event for once in a life)
            await asyncio.sleep(0.02)

    async def _told(self, node: Node, order: str) -> None:
        """Have a node switch itself off: again and again, until it has taken the command or the time is over."""
        deadline = time.monotonic() + _NODES_S
        while True:
            try:
                async with timeout(_NODES_S):
                    done = await fanout.run(self._house.pool, inside(node), order)
                if done.code in (0, _TERMINATED):
                    return
                reason = done.stderr.decode(errors="replace").strip() or f"code {done.code}"
            except fanout.CommandLost:
                return  # it went down, and the command with it
            except (SkyrigError, asyncio.TimeoutError) as error:
                reason = str(error)
            self._house.log.warning("autostop: %s does not switch itself off: %s", node.id, reason)
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(_AGAIN_S)

    async def _own(self, head: Node, order: str) -> None:
        """The same for the head, on which this runs."""
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", order, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        code = None
        with suppress(asyncio.TimeoutError):
            async with timeout(_NODES_S):
                code = await process.wait()
        if code not in (0, -signal.SIGTERM, _TERMINATED):
            self._house.log.warning("autostop: %s does not switch itself off: code %s", head.id, code)
