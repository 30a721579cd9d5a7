"""What the nodes of running jobs are used for, over time: a program of ours on each of them says it (skyrig.launch.
sampling), and it is written beside the log of every job that runs there.

It runs as long as a job does, on an SSH session of the keeper's. The supervisors do not do it: a driver that hangs
must not hold up a rank's end or its lease. A job that ends soon never has it started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import SkyrigError
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import inside
from skyrig.launch import nodeside, records
from skyrig.launch.job import JobRecord
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.samplebook import SampleBook

FIRST_AFTER_S = 5.0
"""For so long a job runs before it is looked what it does to its nodes."""

PERIOD_S, PERIOD_OF_MANY_S, MANY = 5.0, 10.0, 32
"""Seconds between two samples of a node; the second where more than MANY nodes have them."""

_AGAIN_S = 10.0
"""Pause before a node that could not be asked is asked again."""

_SILENCE_S = 60.0
"""How long the program may be silent."""

_BREAKS = (SkyrigError, asyncssh.Error, OSError, EOFError, ValueError, asyncio.TimeoutError)
"""What a broken connection, a node that went away, or a garbled stream raises."""

_LONGEST = 2000
"""Bytes of a line that are believed."""


class House(Protocol):
    """What is needed of the keeper."""

    log: logging.Logger
    pool: Pool

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def flows(self) -> Mapping[int, Running]:
        """The jobs that have had their turn, by their numbers."""

    def log_path(self, record: JobRecord) -> Path:
        """Where a job's log lies."""


class Running(Protocol):
    """One of those jobs."""

    plan: Plan
    record: JobRecord

    @property
    def is_sampled(self) -> bool:
        """Whether its ranks run, and it wants samples."""


class Sampler:
    """Listens to the nodes of running jobs, and writes what they say."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._books: dict[int, SampleBook | None] = {}

    def mind(self) -> None:
        """From now on listen to the nodes of the jobs that have run for a while, and to no others."""
        running = self._running()
        for job_id in self._books.keys() - running.keys():
            del self._books[job_id]
        held = {node_id for each in running.values() for node_id in each.plan.shares}
        nodes = [node for node in self._house.cluster.nodes if node.id in held] if held else []
        wanted = {f"{node.id} {node.life}": node for node in nodes}
        period_s = PERIOD_OF_MANY_S if len(wanted) > MANY else PERIOD_S
        for key, task in list(self._listening.items()):
            if key not in wanted or task.done():  # done: by a defect of ours, which asyncio tells
                self._listening.pop(key).cancel()
        for key in wanted.keys() - self._listening.keys():
            self._listening[key] = asyncio.create_task(self._listen(wanted[key], period_s))

    def _running(self) -> Mapping[int, Running]:
        begun = time.time() - FIRST_AFTER_S
        return {
            job_id: each
            for job_id, each in self._house.flows.items()
            if each.is_sampled and each.record.started_at <= begun
        }

    async def _listen(self, node: Node, period_s: float) -> None:
        while True:
            try:
                await self._hear(node, period_s)
            except _BREAKS as error:
                self._house.log.info("samples of %s: %s", node.id, error)
            await asyncio.sleep(_AGAIN_S)

    async def _hear(self, node: Node, period_s: float) -> None:
        """One connection's worth of listening."""
        own = self._house.cluster.isolation == "namespaces"
        command, stdin = nodeside.program("sampling", {"period_s": period_s, "own": own})
        async with self._house.pool.session(inside(node)) as connection:
            process = await connection.create_process(command, encoding=None)
            try:
                process.stdin.write(stdin)
                while True:
                    async with timeout(_SILENCE_S):
                        line = await process.stdout.readuntil(b"\n")
                    if line.startswith(b"{") and len(line) < _LONGEST:  # start-up files may print something first
                        self._take(node, json.loads(line))
            finally:
                process.close()

    def _take(self, node: Node, said: dict[str, Any]) -> None:
        """Write what a node says to each job that runs there. A disk that takes it not is no matter of the jobs."""
        numbers = {name: value for name, value in said.items() if isinstance(value, (int, float))}
        if not numbers:
            return
        sample = {**numbers, "t": round(time.time(), 2), "n": node.id}
        for job_id, running in self._running().items():
            if node.id in running.plan.shares:
                with suppress(OSError):
                    self._book(job_id, running).add(sample)

    def _book(self, job_id: int, running: Running) -> SampleBook:
        book = self._books.get(job_id)
        if book is None:
            path = self._house.log_path(running.record).with_name(records.SAMPLES)
            book = self._books[job_id] = SampleBook(path, len(running.plan.shares))
        return book
