"""One job's way from its turn in the queue to its end: files, setup, run."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve, frozen

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import inside
from skyrig.launch import environment, nodeside
from skyrig.launch.job import CANCELLED, LOST_NODE, JobRecord, JobRequest, JobStatus, Scripts
from skyrig.launch.keeper import gang
from skyrig.launch.keeper.logbook import Logbook
from skyrig.launch.keeper.queue import Placement
from skyrig.launch.keeper.rank import LEASE_S, Rank
from skyrig.launch.keeper.table import JobTable
from skyrig.launch.lines import SETUP

RANK_LOG_LIMIT = 256 * 1024 * 1024
"""Bytes of one rank's output that are kept; a cut is marked in the log."""


@frozen
class End:
    """How a flow ended; the fields of JobRecord of the same names."""

    status: JobStatus
    exit_code: int
    exit_codes: tuple[int, ...] = ()
    culprit: int = -1
    reason: str = ""


class House(Protocol):
    """What a flow needs of the keeper that runs it."""

    log: logging.Logger
    table: JobTable
    pool: Pool
    secret: bytes

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    async def spread(self, digest: str, nodes: Sequence[Node]) -> None:
        """Bring the files of a manifest to `nodes`."""

    def advance(self, record: JobRecord) -> None:
        """Write a job's new state and tell its followers."""

    def promised_ports(self, node_id: str) -> set[int]:
        """Rendezvous ports that running jobs have on a node."""

    def promise_port(self, node_id: str, job_id: int, port: int) -> None:
        """Remember a job's rendezvous port."""


class Flow:
    """Runs one job whose placement is settled. `resumed` re-adopts ranks that an earlier keeper process started."""

    def __init__(
        self, keeper: House, record: JobRecord, request: JobRequest, placement: Placement, logbook: Logbook
    ) -> None:
        self.record = record
        self.placement = placement
        self.logbook = logbook
        self.cancel = asyncio.Event()
        self._keeper = keeper
        self._request = request
        self._cluster = keeper.cluster
        self._nodes = tuple(self._cluster.node(node_id) for node_id in placement.nodes)

    async def run(self) -> JobRecord:
        """Run the job to its end and return its final record. Never raises but for cancellation of the task."""
        resumed = self.record.status is JobStatus.RUNNING
        try:
            end = None if resumed else await self._before_run()
            if end is None:
                end = await self._run(resumed)
        except SkyrigError as error:
            end = End(JobStatus.FAILED, error.exit_code, reason=str(error))
        except Exception as error:  # a defect of ours must end this job alone, with its reason, and not the keeper
            self._keeper.log.exception("job %d", self.record.id)
            end = End(JobStatus.FAILED, SkyrigError.exit_code, reason=f"the keeper failed: {error!r}")
        return evolve(
            self.record,
            status=end.status,
            ended_at=time.time(),
            exit_code=end.exit_code,
            exit_codes=end.exit_codes,
            culprit=end.culprit,
            reason=end.reason,
        )

    async def _before_run(self) -> End | None:
        """Files and setup; the job's end if it ends here already."""
        setup = self._request.setup
        nodes = self._cluster.nodes if setup is not None else self._nodes
        if self._request.manifest:
            await self._keeper.spread(self._request.manifest, nodes)
        if setup is not None and not self.cancel.is_set():
            return await self._setup(setup)
        return self._cancelled() if self.cancel.is_set() else None

    def _cancelled(self, codes: tuple[int, ...] = ()) -> End:
        return End(JobStatus.CANCELLED, CANCELLED, codes, reason="cancelled")

    async def _setup(self, setup: Scripts) -> End | None:
        """Run setup at once on all nodes where it has not run in this form; its failure ends the job."""
        cluster = self._cluster
        task_id = self._task_id()
        environments = {
            node.id: environment.setup_environment(
                nodes=cluster.nodes, rank=node.rank, request=self._request, task_id=task_id, cluster=cluster
            )
            for node in cluster.nodes
        }
        key = self._setup_key(setup)
        table = self._keeper.table
        due = [
            node
            for node in cluster.nodes
            if self._request.force_setup or table.setup_key(node.id, node.incarnation) != key
        ]
        done = [node.id for node in cluster.nodes if node not in due]
        if done:
            self.logbook.note(f"setup skipped on {', '.join(done)}: nothing changed (--force-setup runs it)")
        if not due:
            return self._cancelled() if self.cancel.is_set() else None
        self._advance(JobStatus.SETTING_UP)
        for node in due:
            table.set_setup_key(node.id, node.incarnation, "")
        ranks = [self._rank(node, f"setup-{node.rank}", SETUP + node.rank) for node in due]
        specs = [self._spec(f"setup-{node.rank}", setup, environments[node.id]) for node in due]
        ended = await gang.run(ranks, specs, self.cancel, self.logbook)
        for node, end in zip(due, ended.ends, strict=True):
            if end.code == 0:
                table.set_setup_key(node.id, node.incarnation, key)
        if ended.cancelled:
            return self._cancelled()
        return self._failure(ended, due, JobStatus.FAILED_SETUP, "setup") if ended.culprit >= 0 else None

    async def _run(self, resumed: bool) -> End:
        request, record = self._request, self.record
        names = [f"rank-{rank}" for rank in range(len(self._nodes))]
        ranks = [self._rank(node, names[k], k) for k, node in enumerate(self._nodes)]
        specs: Sequence[Mapping[str, Any] | None] = [None] * len(ranks)
        if not resumed:
            port = await self._free_port()
            specs = [
                self._spec(
                    names[k],
                    request.run,
                    environment.rank_environment(
                        nodes=self._nodes,
                        rank=k,
                        request=request,
                        record_id=record.id,
                        task_id=self._task_id(),
                        cluster=self._cluster,
                        port=port,
                        gpus=self.placement.shares[node.id].gpus,
                    ),
                    environment.hostfile(self._nodes, max(1, request.accelerators)),
                )
                for k, node in enumerate(self._nodes)
            ]
            self._advance(JobStatus.RUNNING)
        ended = await gang.run(ranks, specs, self.cancel, self.logbook)
        if ended.cancelled:
            return self._cancelled(ended.exit_codes)
        if ended.culprit < 0:
            return End(JobStatus.SUCCEEDED, 0, ended.exit_codes)
        return self._failure(ended, self._nodes, JobStatus.FAILED, "")

    def _failure(self, ended: gang.GangEnd, nodes: Sequence[Node], status: JobStatus, what: str) -> End:
        end, node = ended.ends[ended.culprit], nodes[ended.culprit]
        where = f"rank {ended.culprit} ({node.id})" if not what else f"{what} on {node.id}"
        if end.why == "refused":
            reason = f"{where} could not be started: {end.reason}"
            return End(status, SkyrigError.exit_code, ended.exit_codes, ended.culprit, reason)
        if end.lost:
            reason = f"lost node {node.id}: {end.reason}"
            return End(status, LOST_NODE, ended.exit_codes, ended.culprit, reason)
        how = f"was ended by signal {end.code - 128}" if end.code > 128 else f"exited with code {end.code}"
        return End(status, end.code, ended.exit_codes, ended.culprit, f"{where} {how}")

    def _advance(self, status: JobStatus) -> None:
        started = self.record.started_at or time.time()
        self.record = evolve(self.record, status=status, started_at=started)
        self._keeper.advance(self.record)

    def _rank(self, node: Node, name: str, log_rank: int) -> Rank:
        return Rank(self._keeper.pool, inside(node), self._directory(name), log_rank, self.logbook)

    def _directory(self, name: str) -> str:
        return f"~/.skyrig/jobs/{self.record.uid}/{name}"

    def _spec(
        self, name: str, scripts: Scripts, env: Mapping[str, str], hostfile: str | None = None
    ) -> Mapping[str, Any]:
        files = dict(scripts.files) if hostfile is None else {**scripts.files, "hostfile": hostfile}
        return {
            "version": 1,
            "dir": self._directory(name),
            "files": files,
            "entry": scripts.entry,
            "env": dict(env),
            "cwd": "~/sky_workdir",
            "lease_s": LEASE_S,
            "log_limit": RANK_LOG_LIMIT,
        }

    def _task_id(self) -> str:
        moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(self.record.submitted_at))
        micros = int(self.record.submitted_at % 1 * 1e6)
        return f"sky-{moment}-{micros:06d}_{self._cluster.name}_{self.record.id}"

    def _setup_key(self, setup: Scripts) -> str:
        """HMAC of what decides whether setup must run again: its text and the environment that the user gave."""
        decisive = json.dumps([sorted(setup.files.items()), self._request.env, self._request.secrets], sort_keys=True)
        return hmac.new(self._keeper.secret, decisive.encode(), hashlib.sha256).hexdigest()

    async def _free_port(self) -> int:
        """A port that is free on rank 0's node, and promised to no other job there."""
        target = inside(self._nodes[0])
        taken = self._keeper.promised_ports(target.id)
        command, stdin = nodeside.program("free_port", {"taken": sorted(taken)})
        found = await fanout.run(self._keeper.pool, target, command, stdin=stdin, timeout_s=30)
        printed = found.stdout.split()
        if not printed or not printed[-1].isdigit():
            raise SkyrigError(f"{target.id} has no free port for the rendezvous", hint="see what listens there")
        port = int(printed[-1])
        self._keeper.promise_port(target.id, self.record.id, port)
        return port
