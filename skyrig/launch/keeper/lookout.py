"""Nodes that may be taken away are asked by a program of ours on each of them (skyrig.launch.notices): only a node can
ask its cloud's metadata service about itself.

It runs as long as a job does, on an SSH session of the keeper's, and remembers nothing: whoever starts it again, after
a broken connection or as the next keeper, hears what there is to hear. Supervisors do not ask, though they outlive
keepers: each job's ranks on other nodes must hear of it too, and only the keeper reaches those.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from skyrig.cluster.clouds import registered
from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import SkyrigError
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import inside
from skyrig.launch import nodeside
from skyrig.launch.keeper.bell import Bell
from skyrig.launch.keeper.notices import Audience, Notices
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.table import JobTable

_PAUSE_S = 2.0
"""How often a node asks its cloud: of the 30 s that some give, few are lost."""
_PAUSES_S = {"file": 0.5}
"""The same by service, where it is another: a look at a file costs nothing."""

_AGAIN_S = 2.0
"""Pause before a node that could not be asked is asked again."""

_SILENCE_S = 30.0
"""How long the program may be silent: six times as long as it is when all is well."""

_BREAKS = (SkyrigError, asyncssh.Error, OSError, EOFError, ValueError, asyncio.TimeoutError)
"""What a broken connection, a node that went away, or a garbled stream raises."""


class House(Protocol):
    """What is needed of the keeper."""

    log: logging.Logger
    pool: Pool
    table: JobTable
    bell: Bell

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def flows(self) -> Mapping[int, Running]:
        """The jobs that have had their turn, by their numbers."""


class Running(Protocol):
    """One of those jobs."""

    plan: Plan
    audience: Audience


class Lookout:
    """Listens to the nodes of running jobs. What it hears goes to all ranks of the jobs that have one there, and into
    `notices`."""

    def __init__(self, house: House) -> None:
        self.notices = Notices(house.table)
        self._house = house
        self._listening: dict[str, asyncio.Task[None]] = {}

    @property
    def _service(self) -> str:
        """What nodes of the cluster ask, whatever their capacity: maintenance comes to machines on demand as well."""
        return registered(self._house.cluster.cloud).notices

    def mind(self) -> None:
        """From now on listen to the nodes that jobs run on now, and to no others."""
        held = {node_id for running in self._house.flows.values() for node_id in running.plan.shares}
        nodes = self._house.cluster.nodes if held and self._service else ()
        wanted = {f"{node.id} {node.life}": node for node in nodes if node.id in held}
        for key, task in list(self._listening.items()):
            if key not in wanted or task.done():  # done: by a defect of ours, which asyncio tells
                self._listening.pop(key).cancel()
        for key in wanted.keys() - self._listening.keys():
            self._listening[key] = asyncio.create_task(self._listen(wanted[key]))

    async def _listen(self, node: Node) -> None:
        while True:
            try:
                await self._hear(node)
            except _BREAKS as error:
                self._house.log.info("notices of %s: %s", node.id, error)
            await asyncio.sleep(_AGAIN_S)

    async def _hear(self, node: Node) -> None:
        """One connection's worth of listening."""
        asked = {"service": self._service, "pause_s": _PAUSES_S.get(self._service, _PAUSE_S)}
        command, stdin = nodeside.program("notices", asked)
        async with self._house.pool.session(inside(node)) as connection:
            process = await connection.create_process(command, encoding=None)
            try:
                process.stdin.write(stdin)
                while True:
                    async with timeout(_SILENCE_S):
                        line = await process.stdout.readuntil(b"\n")
                    if line.startswith(b"{"):  # a node's shell start-up files may print something first
                        self._take(node, json.loads(line))
            finally:
                process.close()

    def _take(self, node: Node, said: dict[str, Any]) -> None:
        if "id" in said and (notice := self.notices.add(node, said)):
            for running in self._house.flows.values():
                running.audience.hear(notice)
            self._house.bell.ring()
        elif "problem" in said:
            self._house.log.warning("notices of %s: its metadata service does not answer: %s", node.id, said["problem"])
