"""What finished jobs leave on head and nodes, kept within bounds: folders of old jobs, and files of old workdirs."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from skyrig.fleet import fanout
from skyrig.fleet.blobs import BlobStore
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import inside
from skyrig.launch import nodeside
from skyrig.launch.job import JobRecord, JobRequest
from skyrig.launch.keeper.archive import Archive
from skyrig.launch.keeper.nodes import Nodes
from skyrig.launch.keeper.table import JobTable

KEPT_JOBS = 50
"""Finished jobs whose folders stay on every node, and whose logs stay on the head beside the copies in the records."""

KEPT_BYTES = 2 << 30
"""Bytes that those folders may have on one node; the oldest go first."""

_KEPT_WORKDIRS = 8
"""Workdirs of the last jobs whose files stay on the head, so that the next sync of one of them is short."""

_EVERY_S = 600.0
_EVERY_JOBS = 50


class House(Protocol):
    """What is needed of the keeper."""

    home: Path
    table: JobTable
    nodes: Nodes
    pool: Pool
    store: BlobStore
    archive: Archive

    def log_path(self, record: JobRecord) -> Path:
        """Where a job's log lies on the head."""

    def unfinished_requests(self) -> Mapping[str, JobRequest]:
        """Requests of the jobs that have not ended, by uid."""


class Pruning:
    """Prunes every ten minutes, and after every 50 jobs."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._next_at = time.monotonic() + _EVERY_S
        self._next_id = 0
        self._workdirs: deque[str] = deque(maxlen=_KEPT_WORKDIRS)
        self._running: asyncio.Task[None] | None = None

    def note(self, manifest: str) -> None:
        """Take the workdir of a job that starts: one of the newest, so it is kept."""
        if manifest and manifest not in self._workdirs:
            self._workdirs.append(manifest)

    async def due(self) -> None:
        """Begin to prune if it is time to and nobody does."""
        newest = self._house.table.last_id() or 0
        self._next_id = self._next_id or newest + _EVERY_JOBS
        busy = self._running is not None and not self._running.done()
        if self._house.nodes.described and not busy and (time.monotonic() > self._next_at or newest >= self._next_id):
            self._next_at, self._next_id = time.monotonic() + _EVERY_S, newest + _EVERY_JOBS
            self._running = asyncio.create_task(self.run())

    async def run(self, *, keep_jobs: int = KEPT_JOBS, keep_bytes: int = KEPT_BYTES, min_age_s: float = 3600) -> None:
        """Prune now. A node that does not answer is pruned another time."""
        house = self._house
        requests = house.unfinished_requests()
        wanted = {request.manifest for request in requests.values()} | set(self._workdirs)
        await asyncio.to_thread(house.store.prune, wanted - {""}, min_age_s=min_age_s)
        given = {"keep": keep_jobs, "bytes": keep_bytes, "spare": sorted(requests)}
        command, stdin = nodeside.program("prune", given)
        targets = [inside(node) for node in house.nodes.cluster.nodes]
        await asyncio.gather(
            *(fanout.run(house.pool, target, command, stdin=stdin, timeout_s=60) for target in targets),
            return_exceptions=True,
        )
        self._prune_logs(keep_jobs)

    def _prune_logs(self, keep_jobs: int) -> None:
        """Remove old logs from the head that the records folder holds as they are here."""
        house = self._house
        newest = [record for record in house.table.newest(4 * keep_jobs) if record.status.ended]
        for record in newest[: -keep_jobs or None]:
            mine, copy = house.log_path(record), house.archive.log(record.id)
            if copy is None or not mine.exists() or not house.archive.holds(record.id):
                continue
            if copy.stat().st_size == mine.stat().st_size:
                shutil.rmtree(mine.parent, ignore_errors=True)
