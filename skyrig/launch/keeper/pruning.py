"""What finished jobs leave on head and nodes, kept within bounds: folders of old jobs, and files of old workdirs."""

from __future__ import annotations

import asyncio
import os
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
"""Bytes that those folders may have on one node, and those logs on the head, but no more than a quarter of what their
disk has free without them; the oldest go first."""

_KEPT_WORKDIRS = 8
"""The last jobs whose workdirs and mounts stay on the head, so that the next sync of one of them is short."""

_EVERY_S = 600.0
_EVERY_JOBS = 50
_FIRST_AFTER_S = 20.0
"""When a keeper that has just started prunes: the ones before it may have lived too short for that."""

_SCARCE = 4
"""Where less than one part in so many of the head's disk is free, the head is pruned at once; again after _IN_VAIN_S
where that brought nothing."""
_IN_VAIN_S = 60.0


class House(Protocol):
    """What is needed of the keeper."""

    jobs: Path
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
    """Prunes every ten minutes, after every 50 jobs, and when room on the head becomes scarce."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._next_at = time.monotonic() + _FIRST_AFTER_S
        self._scarce_at = 0.0
        self._next_id = 0
        self._workdirs: deque[frozenset[str]] = deque(maxlen=_KEPT_WORKDIRS)
        self._running: asyncio.Task[None] | None = None

    def note(self, manifests: frozenset[str]) -> None:
        """Take the workdir and mounts of a job that starts: some of the newest, so they are kept."""
        if manifests and manifests not in self._workdirs:
            self._workdirs.append(manifests)

    async def due(self) -> None:
        """Begin to prune if it is time to and nobody does."""
        now, newest = time.monotonic(), self._house.table.last_id() or 0
        self._next_id = self._next_id or newest + _EVERY_JOBS
        busy = self._running is not None and not self._running.done()
        if busy or not self._house.nodes.described:
            return
        if now > self._next_at or newest >= self._next_id:
            self._next_at, self._next_id = now + _EVERY_S, newest + _EVERY_JOBS
            self._running = asyncio.create_task(self.run())
        elif now > self._scarce_at and self._is_scarce():
            self._running = asyncio.create_task(self._make_room())

    async def run(self, *, head_alone: bool = False) -> None:
        """Prune now. A node that does not answer is pruned another time."""
        house = self._house
        requests = house.unfinished_requests()
        wanted = frozenset().union(*(request.manifests for request in requests.values()), *self._workdirs)
        await asyncio.to_thread(house.store.prune, wanted)
        given = {"keep": KEPT_JOBS, "bytes": KEPT_BYTES, "spare": sorted(requests)}
        command, stdin = nodeside.program("prune", given)
        cluster = house.nodes.cluster
        targets = [inside(node) for node in cluster.nodes if node is cluster.head or not head_alone]
        await asyncio.gather(
            *(fanout.run(house.pool, target, command, stdin=stdin, timeout_s=60) for target in targets),
            return_exceptions=True,
        )
        await asyncio.to_thread(_remove, self._old_logs())

    async def _make_room(self) -> None:
        before = os.statvfs(self._house.jobs).f_bavail
        await self.run(head_alone=True)
        if os.statvfs(self._house.jobs).f_bavail <= before:
            self._scarce_at = time.monotonic() + _IN_VAIN_S

    def _is_scarce(self) -> bool:
        """Whether the disk with the head's logs is nearly full."""
        disk = os.statvfs(self._house.jobs)
        return disk.f_bavail * _SCARCE < disk.f_blocks

    def _old_logs(self) -> list[Path]:
        """Folders of old logs on the head that the records folder holds as they are here."""
        house = self._house
        here: list[tuple[Path, int]] = []
        goes: set[Path] = set()
        for record in reversed(house.table.newest(4 * KEPT_JOBS)):
            mine = house.log_path(record)
            if record.status.ended and mine.exists():
                copy, size = house.archive.log(record.id), mine.stat().st_size
                here.append((mine.parent, size))
                if copy is not None and house.archive.holds(record.id) and copy.stat().st_size == size:
                    goes.add(mine.parent)
        disk, taken, old = os.statvfs(house.jobs), 0, []
        allowed = min(KEPT_BYTES, (disk.f_bavail * disk.f_frsize + sum(size for _, size in here)) // 4)
        for number, (folder, size) in enumerate(here):
            taken += size
            if folder in goes and (number >= KEPT_JOBS or taken > allowed):
                old.append(folder)
        return old


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
