"""What the nodes of running jobs are used for, over time: a program of ours on each of them says it (skyrig.launch.
sampling), and it is written beside the log of every job that runs there.

It runs as long as a job does, on an SSH session of the keeper's. The supervisors do not do it: a driver that hangs
must not hold up a rank's end or its lease. A job that ends soon never has it started.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.fleet.pool import Pool
from skyrig.launch import records
from skyrig.launch.job import JobRecord
from skyrig.launch.keeper.listening import Listeners, Topic
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.samplebook import SampleBook

FIRST_AFTER_S = 5.0
"""For so long a job runs before it is looked what it does to its nodes."""

PERIOD_S, PERIOD_OF_MANY_S, MANY = 5.0, 10.0, 32
"""Seconds between two samples of a node; the second where more than MANY nodes have them."""

_TOPIC = Topic("samples", "sampling", again_s=10.0, silence_s=60.0, longest=2000)


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
        self._listeners = Listeners(house, _TOPIC, self._take)
        self._books: dict[int, SampleBook | None] = {}

    def mind(self) -> None:
        """From now on listen to the nodes of the jobs that have run for a while, and to no others."""
        running = self._running()
        for job_id in self._books.keys() - running.keys():
            del self._books[job_id]
        held = {node_id for each in running.values() for node_id in each.plan.shares}
        nodes = [node for node in self._house.cluster.nodes if node.id in held] if held else []
        period_s = PERIOD_OF_MANY_S if len(nodes) > MANY else PERIOD_S
        own = self._house.cluster.isolation == "namespaces"
        self._listeners.only(nodes, {"period_s": period_s, "own": own})

    def _running(self) -> Mapping[int, Running]:
        now = time.time()
        return {
            job_id: each
            for job_id, each in self._house.flows.items()
            # One that has yet to begin runs since before the clock was put back.
            if each.is_sampled and not 0 <= now - each.record.started_at < FIRST_AFTER_S
        }

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
