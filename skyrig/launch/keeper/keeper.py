"""The keeper's state: its cluster, the job table, the queue, and the flows of the jobs that run."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from skyrig.cluster.description import ClusterDescription, Node, from_json
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet.blobs import BlobStore, materialise
from skyrig.fleet.pool import Pool
from skyrig.fleet.spread import spread
from skyrig.fleet.target import inside
from skyrig.launch import nodeside, records
from skyrig.launch.job import CANCELLED, LOST_NODE, JobRecord, JobRequest, JobStatus
from skyrig.launch.keeper import access
from skyrig.launch.keeper.flow import Flow
from skyrig.launch.keeper.logbook import Logbook
from skyrig.launch.keeper.queue import Demand, Placement, Share, place, refusal
from skyrig.launch.keeper.requests import RequestStore
from skyrig.launch.keeper.table import JobTable

_COPY_EVERY_S = 1.0
"""How often logs of running jobs are brought to the records folder, and unfinished lines shown."""


class Keeper:
    """One per cluster, in one event loop; every method but `serve` returns quickly or only waits for the network."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = logging.getLogger("keeper")
        self.table = JobTable(home / "jobs.db")
        self.key = access.InternalKey(home / "internal")
        self.secret = self._kept_secret()
        self.pool = Pool(self.key.credentials, deadline_s=30)
        self.store = BlobStore(home / "blobs")
        self.flows: dict[int, Flow] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._logbooks: dict[int, Logbook] = {}
        self._ports: dict[int, tuple[str, int]] = {}
        described = self.table.fact("cluster")
        self._cluster = from_json(described) if described else None
        self._requests: RequestStore | None = None

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described by a client; SkyrigError before that."""
        if self._cluster is None:
            raise SkyrigError("the keeper does not know its cluster yet", hint="run the command again")
        return self._cluster

    @property
    def incarnation(self) -> str:
        """Name of this job table's life; part of every job's uid, so that folders of two lives never mix."""
        known = self.table.fact("incarnation")
        if not known:
            known = secrets.token_hex(3)
            self.table.set_fact("incarnation", known)
        return str(known)

    # -- the cluster

    def describe(self, document: dict[str, Any]) -> list[str]:
        """Take a description; returns the ids of the nodes that do not know the keeper's key."""
        cluster = from_json(document)
        self._cluster = cluster
        self.table.set_fact("cluster", cluster.public().to_json())
        known = self.table.fact("prepared") or {}
        return [node.id for node in cluster.nodes if known.get(node.id, "") != node.incarnation]

    def knows(self, digest: str) -> bool:
        """Whether the description with this digest was taken and all its nodes prepared."""
        return bool(self.table.fact("digest") == _prepared_for(digest))

    async def prepare(self, digest: str) -> dict[str, str]:
        """Give all nodes what they need (they let the keeper in now). Returns node id -> reason of failures."""
        nodes = self.cluster.nodes
        failed = await access.prepare(self.pool, self.cluster, self.key, nodes)
        self.table.set_fact("prepared", {node.id: node.incarnation for node in nodes if node.id not in failed})
        self.table.set_fact("digest", None if failed else _prepared_for(digest))
        return failed

    async def wake_up(self) -> None:
        """After a restart: bring nodes up to this version of ours if an older one prepared them, then adopt jobs."""
        known = self.table.fact("digest")
        if self._cluster is not None and known and known != _prepared_for(known[0]):
            await self.prepare(known[0])
        self.adopt()

    # -- jobs

    def submit(self, request: JobRequest) -> JobRecord:
        """Queue a job. BadInput if it can never run here."""
        demand = _demand(request)
        why_not = refusal(demand, self.cluster.nodes)
        if why_not:
            raise BadInput(why_not, hint="ask for less, or grow the cluster: invoke up --nodes K")
        job_id = self.table.next_id(request.first_id)
        record = JobRecord(
            id=job_id,
            uid=f"{job_id}-{self.incarnation}",
            name=request.name,
            status=JobStatus.PENDING,
            num_nodes=request.num_nodes,
            submitted_at=time.time(),
            cluster=tuple(node.id for node in self.cluster.nodes),
            user=request.user,
        )
        self._request_store().put(job_id, request)
        self.table.put(record)
        self._logbook(record)
        self.schedule()
        return self.table.get(job_id) or record

    def schedule(self) -> None:
        """Start the jobs whose turn has come."""
        for record in self.table.unfinished():
            if record.id in self.flows:
                continue
            request = self._request_store().get(record.id)
            if request is None:
                self._finish(_restarted(record))
                continue
            held = [running.placement for running in self.flows.values()]
            placement = place(_demand(request), self.cluster.nodes, held)
            if placement is None:
                return
            self._start(evolve(record, nodes=placement.nodes), request, placement)

    def adopt(self) -> None:
        """After a restart: go on with the jobs whose ranks an earlier keeper process started."""
        if self._cluster is None:
            return
        for record in self.table.unfinished():
            request, saved = self._request_store().get(record.id), self.table.fact(f"placement-{record.id}")
            if record.id in self.flows or record.status is not JobStatus.RUNNING or request is None or saved is None:
                continue
            present = {node.id for node in self.cluster.nodes}
            if not present.issuperset(record.nodes):
                self._finish(_restarted(record))
                continue
            shares = {node: Share(tuple(gpus), cpus) for node, (gpus, cpus) in saved.items()}
            self._start(record, request, Placement(record.nodes, shares))
        self.schedule()

    async def cancel(self, job_ids: Sequence[int] | None) -> list[int]:
        """End the given jobs (None: all that have not ended) with every process of theirs; returns which it ended."""
        ended = []
        for record in self.table.unfinished():
            if job_ids is not None and record.id not in job_ids:
                continue
            ended.append(record.id)
            running = self.flows.get(record.id)
            if running:
                running.cancel.set()
            else:
                cancelled = evolve(record, status=JobStatus.CANCELLED, exit_code=CANCELLED, reason="cancelled")
                self._finish(evolve(cancelled, ended_at=time.time()))
        await asyncio.gather(*(self._tasks[job_id] for job_id in ended if job_id in self._tasks))
        return ended

    def advance(self, record: JobRecord) -> None:
        """Write a job's new state and tell its followers."""
        self.table.put(record)
        book = self._logbook(record)
        book.copy(record)
        book.wake()

    def logbook(self, record: JobRecord) -> Logbook | None:
        """The open log of a job that has not ended."""
        return self._logbooks.get(record.id)

    def log_path(self, record: JobRecord) -> Path:
        """Where a job's log lies on the head."""
        return self.home / "jobs" / record.uid / "job.log"

    def settle(self) -> None:
        """Bring every job's record and log to the records folder now."""
        for record in self.table.all():
            book = self._logbooks.get(record.id)
            if book:
                book.copy(record)

    async def spread(self, digest: str, nodes: Sequence[Node]) -> None:
        """Make ~/sky_workdir of `nodes` hold what the manifest with this digest says, all at once."""
        manifest = self.store.manifest(digest)
        python = "python3" if self.cluster.isolation == "machine" else "~/.skyrig/runtime/bin/python"
        head, others = self.cluster.head, [node for node in nodes if node.rank != 0]
        mine = asyncio.to_thread(
            materialise, self.store, manifest, Path.home() / "sky_workdir", self.home / "workdir.json"
        )
        there = spread(self.pool, [inside(node) for node in others], self.store, manifest, python=python)
        if head in nodes:
            _, sent = await asyncio.gather(mine, there)
        else:
            mine.close()
            sent = await there
        for node_id, outcome in sent.items():
            if isinstance(outcome, Exception):
                raise SkyrigError(f"files did not reach {node_id}: {outcome}", hint="run the command again")

    # -- ports

    def promised_ports(self, node_id: str) -> set[int]:
        """Rendezvous ports that running jobs have on a node."""
        return {port for where, port in self._ports.values() if where == node_id}

    def promise_port(self, node_id: str, job_id: int, port: int) -> None:
        """Remember a job's rendezvous port until the job ends."""
        self._ports[job_id] = (node_id, port)

    # -- inner works

    async def run_chores(self) -> None:
        """Without end: show unfinished lines and copy logs, once a second."""
        while True:
            await asyncio.sleep(_COPY_EVERY_S)
            for job_id, running in list(self.flows.items()):
                book = self._logbooks.get(job_id)
                if book and not book.closed:
                    book.flush_silent()
                    await asyncio.to_thread(book.copy, running.record)

    def _start(self, record: JobRecord, request: JobRequest, placement: Placement) -> None:
        shares = {node: (share.gpus, share.cpus) for node, share in placement.shares.items()}
        self.table.set_fact(f"placement-{record.id}", shares)
        self.table.put(record)
        running = Flow(self, record, request, placement, self._logbook(record))
        self.flows[record.id] = running
        self._tasks[record.id] = asyncio.create_task(self._see_through(running))

    async def _see_through(self, running: Flow) -> None:
        final = await running.run()
        self.flows.pop(final.id)
        self._finish(final)
        self._tasks.pop(final.id, None)
        self.schedule()

    def _finish(self, record: JobRecord) -> None:
        book = self._logbook(record)
        book.flush_all()
        self.table.put(record)
        book.copy(record)
        book.close()
        self._logbooks.pop(record.id)
        self._ports.pop(record.id, None)
        self._request_store().drop(record.id)
        self.table.set_fact(f"placement-{record.id}", None)

    def _logbook(self, record: JobRecord) -> Logbook:
        if record.id not in self._logbooks:
            base = records.folder(self.cluster.records)
            copy = base / str(record.id) if base is not None else None
            self._logbooks[record.id] = Logbook(self.log_path(record), copy)
        return self._logbooks[record.id]

    def _request_store(self) -> RequestStore:
        if self._requests is None:
            self._requests = RequestStore(self.home, own_tmpfs=self.cluster.isolation != "plain")
        return self._requests

    def _kept_secret(self) -> bytes:
        path = self.home / "hmac"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(secrets.token_bytes(32))
        return path.read_bytes()


def _prepared_for(digest: str) -> list[str]:
    """What the nodes were prepared for: a cluster, and the supervisor of this version."""
    return [digest, nodeside.supervisor_file()]


def _demand(request: JobRequest) -> Demand:
    return Demand(request.num_nodes, request.accelerators, request.cpus)


def _restarted(record: JobRecord) -> JobRecord:
    """The end of a job that was under way when its head restarted and its environment was lost."""
    return evolve(
        record,
        status=JobStatus.FAILED,
        ended_at=time.time(),
        exit_code=LOST_NODE,
        reason="the head was restarted: the job's environment is gone with its memory",
    )
