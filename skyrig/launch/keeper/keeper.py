"""The keeper's jobs: the table, the queue, and the flows of the jobs that run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet.progress import Report
from skyrig.launch import records, skylogs
from skyrig.launch.job import CANCELLED, JobRecord, JobRequest, JobStatus
from skyrig.launch.keeper import attaching, ends, setups
from skyrig.launch.keeper.archive import Archive
from skyrig.launch.keeper.bell import Bell
from skyrig.launch.keeper.caretaker import Caretaker
from skyrig.launch.keeper.fitness import Fitness
from skyrig.launch.keeper.flow import Flow
from skyrig.launch.keeper.logbook import Logbook
from skyrig.launch.keeper.lookout import Lookout
from skyrig.launch.keeper.nodes import Nodes
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.pruning import Pruning
from skyrig.launch.keeper.queue import Demand, place, refusal, waits_for
from skyrig.launch.keeper.requests import RequestStore
from skyrig.launch.keeper.sampler import Sampler
from skyrig.launch.keeper.table import JobTable

_CHORES_EVERY_S = 1.0
"""How often logs of running jobs are brought to the records folder, and unfinished lines shown."""


class Keeper:
    """One per cluster, in one event loop; every method returns quickly or only waits for the network."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.jobs = home / "jobs"
        self.jobs.mkdir(mode=0o700, exist_ok=True)
        self.log = logging.getLogger("keeper")
        self.table = JobTable(home / "jobs.db")
        self.nodes = Nodes(home, self.table, self.log)
        self.key, self.pool, self.store = self.nodes.key, self.nodes.pool, self.nodes.store
        self.secret = setups.kept_secret(home)
        self.archive, self.bell = Archive(None), Bell()
        self.flows: dict[int, Flow] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._logbooks: dict[int, Logbook] = {}
        self._requests: RequestStore | None = None
        self._pruning = Pruning(self)
        self._avoided: list[str] = []
        self.following: set[object] = set()
        if self.nodes.described:
            self.archive.base = records.folder(self.cluster.records)
        self.caretaker, self.fitness, self.lookout = Caretaker(self), Fitness(self), Lookout(self)
        self.sampler = Sampler(self)

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described by a client; SkyrigError before that."""
        return self.nodes.cluster

    @property
    def busy(self) -> bool:
        """Whether a job has not ended, or its end is being written down."""
        return bool(self._tasks or self.table.unfinished())

    def describe(self, document: dict[str, Any], *, undrain: bool = False) -> list[str]:
        """Take a description; returns the ids of the nodes that do not know the keeper's key."""
        unprepared = self.nodes.describe(document, undrain=undrain)
        self.archive.base = records.folder(self.cluster.records)
        self.fitness.tell()
        for running in list(self.flows.values()):
            running.meet(self.cluster)
        return unprepared

    def knows(self, digest: str) -> bool:
        """Whether the description with this digest was taken and all its nodes prepared."""
        return self.nodes.knows(digest)

    async def prepare(self, digest: str) -> dict[str, str]:
        """Give all nodes what they need (they let the keeper in now). Returns node id -> reason of failures."""
        return await self.nodes.prepare(digest)

    async def wake_up(self) -> None:
        """After a restart: go on with every job where the keeper before this one left it."""
        if not self.nodes.described:
            return
        self.nodes.upgrade()
        for job_id in self.table.unsettled():
            record = self.table.get(job_id)
            if record is not None and record.status.ended:
                self._request_store().drop(job_id)
                self.archive.note(record, self.log_path(record))
        unfinished = {record.id for record in self.table.unfinished()}
        for job_id in self._request_store().ids() - unfinished:
            self._request_store().drop(job_id)  # of a submission that was never answered
        self.adopt()
        await self.settle()

    # -- jobs

    async def submit(self, request: JobRequest) -> JobRecord:
        """Queue a job; the one that has its key already, if any. BadInput if it can never run here, SkyrigError if the
        head has no room for it or leaves."""
        if request.key and (known := self.table.keyed(request.key)) is not None:
            return known
        self.caretaker.admit()
        why_not = refusal(Demand.of(request), self.cluster.nodes)
        if why_not:
            raise BadInput(why_not, hint="ask for less, or grow the cluster: `up --nodes K`")
        self.fitness.admit(request)
        job_id = self.table.next_id(request.first_id)
        record = JobRecord(
            id=job_id,
            uid=f"{job_id}-{self.table.incarnation}",
            name=request.name,
            status=JobStatus.PENDING,
            num_nodes=request.num_nodes,
            submitted_at=time.time(),
            cluster=tuple(node.id for node in self.cluster.nodes),
            user=request.user,
            key=request.key,
        )
        try:
            self._request_store().put(job_id, request)
            self._logbook(record)
            self.table.add(record)
        except (OSError, SkyrigError) as problem:
            self._forget(record)
            if isinstance(problem, SkyrigError):
                raise
            where = f"the head takes no new job: {problem.strerror} ({problem.filename or self.home})"
            raise SkyrigError(where, hint="make room there, or wait until other jobs have ended") from problem
        self.bell.ring()
        self.archive.note(record, self.log_path(record))
        await self.archive.bring_soon(job_id)  # from now on its number is taken, also for a head after this one
        self.schedule()
        return self.table.get(job_id) or record

    def schedule(self) -> None:
        """Start the jobs whose turn has come; jobs that cannot run on the nodes that are left wait, with the reason."""
        self.caretaker.poke()
        self._avoided = self.lookout.notices.going(self.cluster.nodes)
        usable = self.usable(self.cluster.nodes)
        full = False
        for record in self.table.unfinished():
            if record.id in self._tasks:
                continue
            request = self._request_store().get(record.id)
            if request is None:
                self._end(ends.of_loss(record, "the head was restarted: the job's environment is gone with its memory"))
                continue
            demand = Demand.of(request)
            there = self.usable(self.cluster.nodes, self.nodes.cordoned()) if demand.whole else usable
            self._explain(record, never := refusal(demand, there))
            held = [running.plan.placement for running in self.flows.values()]
            waits = never is not None or (full and not request.on)
            placement = None if waits else place(demand, there, held)
            if placement is not None:
                incarnations = {node.id: node.incarnation for node in self.cluster.nodes}
                plan = Plan(dict(placement.shares), incarnations, manifest=request.manifest)
                record = evolve(record, nodes=placement.nodes, reason="")
                self.advance(record, plan)
                self._start(record, request, plan)
            full = full or (placement is None and not never and not request.on)

    def adopt(self) -> None:
        """Go on with the jobs that had their turn under an earlier keeper process, then see whose turn it is. Those
        that run hear that nodes may be there anew."""
        for running in self.flows.values():
            running.described()
        for record in self.table.unfinished():
            plan, request = self.table.plan(record.id), self._request_store().get(record.id)
            if record.id in self._tasks or plan is None or request is None:
                continue
            missing = plan.missing(self.cluster)
            if missing and not (record.status is JobStatus.RUNNING and plan.bears(missing, request.min_nodes)):
                notices = self.lookout.notices
                lost = f"lost node {', '.join(missing)}: {notices.gone(missing, plan.incarnations)}"
                self._end(ends.of_loss(record, lost, notices.cause(missing, plan.incarnations), missing))
            else:
                self._start(record, request, plan)
        self.schedule()

    async def cancel(self, job_ids: Sequence[int] | None, reason: str = "cancelled") -> list[int]:
        """End the given jobs (None: all that have not ended) with every process of theirs; returns which it ended."""
        ended = [record for record in self.table.unfinished() if job_ids is None or record.id in job_ids]
        for record in ended:
            if record.id in self.flows:
                self.flows[record.id].cancel(reason)
            elif record.id not in self._tasks:
                cancelled = evolve(record, status=JobStatus.CANCELLED, exit_code=CANCELLED, reason=reason)
                self._end(evolve(cancelled, ended_at=time.time()))
        await asyncio.gather(*(self._tasks[record.id] for record in ended if record.id in self._tasks))
        return [record.id for record in ended]

    async def drain(self, node_ids: Sequence[str], *, force: bool) -> dict[str, list[int]]:
        """Place no more jobs on these nodes, which are about to be removed. Returns the jobs that each of them is busy
        with: without `force` nothing is marked if there are any, with it they were cancelled and have ended."""
        busy: dict[str, list[int]] = {}
        for node_id in node_ids:
            jobs = [job_id for job_id, running in sorted(self.flows.items()) if running.uses(node_id)]
            busy |= {node_id: jobs} if jobs else {}
        if busy and not force:
            return busy
        self.nodes.mark(node_ids)
        gone = {job_id: node_id for node_id, jobs in reversed(busy.items()) for job_id in jobs}
        await asyncio.gather(*(self.cancel([job], f"node {node_id} is removed") for job, node_id in gone.items()))
        self.schedule()
        return busy

    def advance(self, record: JobRecord, plan: Plan) -> None:
        """Write a job's new state and plan at once, and tell its followers."""
        self.table.put(record, plan)
        self._tell(record)

    def logbook(self, record: JobRecord) -> Logbook | None:
        """The open log of a job; None once the job has ended and its records are where they shall be."""
        ended = (self.table.get(record.id) or record).status.ended
        return self._logbooks.get(record.id) if ended else self._logbook(record)

    def log_path(self, record: JobRecord) -> Path:
        """Where a job's log lies on the head while the job runs, and for a while after."""
        return self.jobs / record.uid / "job.log"

    async def settle(self) -> None:
        """Bring every job's record and log to the records folder now, as far as it takes them."""
        await self.archive.bring_all()
        self._forget_settled()

    async def flush(
        self, say: Callable[[str], None], deadline_s: float | None = None, node_ids: Sequence[str] | None = None
    ) -> list[str]:
        """Wait until what was written on nodes (None: all) is in its buckets; what is not by the deadline, in words.
        Without one that of the last job that named one holds, else FLUSH_S."""
        if not self.table.fact("buckets"):
            return []  # no job ever had one
        nodes = [node for node in self.cluster.nodes if node_ids is None or node.id in node_ids]
        return await attaching.flush(self.pool, self.table, nodes, deadline_s, say)

    def now(self, job_id: int) -> Mapping[str, Any]:
        """What goes on with a job that does not run yet, for those who watch it; Flow says what that is."""
        running = self.flows.get(job_id)
        return running.now if running is not None else {}

    # -- what a flow asks for

    async def spread(
        self, request: JobRequest, nodes: Sequence[Node], say: Callable[[str], None], report: Report
    ) -> None:
        """Bring a job's files to `nodes`; `say` and `report` hear how that goes where it takes long."""
        await self.nodes.spread(request.manifest, nodes, say, request.mounts, report)

    async def standing(self, request: JobRequest, nodes: Sequence[Node]) -> set[str]:
        """Ids of those of `nodes` where a job's files are still as they were brought."""
        return await self.nodes.standing(request.manifest, request.mounts, nodes)

    async def attach(self, request: JobRequest, nodes: Sequence[Node], say: Callable[[str], None]) -> dict[str, str]:
        """Have a job's buckets be at their places on `nodes`; what is wrong, by node id."""
        await asyncio.gather(*(self.ready(node.id) for node in nodes))
        return await attaching.attach(self.pool, self.table, nodes, request, say)

    async def ready(self, node_id: str) -> None:
        """Wait until a node has what this version of ours needs there."""
        await self.nodes.ready(node_id)

    def lets_in(self, node: Node) -> bool:
        """Whether a node was given what it needs, since it is this machine."""
        return self.nodes.lets_in(node)

    def usable(self, nodes: Sequence[Node], own: Container[str] = ()) -> list[Node]:
        """Those of `nodes` that are neither about to go nor cordoned, or whose ids are in `own`."""
        going = {*self.nodes.going(), *self.lookout.notices.going(nodes), *self.nodes.cordoned()}
        return [node for node in nodes if node.id in own or node.id not in going]

    def promised_ports(self, node_id: str) -> set[int]:
        """Rendezvous ports that running jobs have on a node."""
        plans = [running.plan for running in self.flows.values()]
        return {plan.port for plan in plans if plan.port and next(iter(plan.shares)) == node_id}

    # -- inner works

    async def run_chores(self) -> None:
        """Without end, once a second: show unfinished lines, and write and bring what could not be before."""
        while True:
            await asyncio.sleep(_CHORES_EVERY_S)
            try:
                for book in list(self._logbooks.values()):
                    if not book.closed:
                        book.flush_silent()
                self.table.write()
                self.lookout.mind()
                self.sampler.mind()
                if self.nodes.described and self._avoided != self.lookout.notices.going(self.cluster.nodes):
                    self.schedule()
                await self.settle()
                await self._pruning.due()
            except Exception:  # whatever it is, jobs must not end of it, and the next round may do better
                self.log.exception("chores")

    def unfinished_requests(self) -> dict[str, JobRequest]:
        """Requests of the jobs that have not ended, by the jobs' uid."""
        found = {record.uid: self._request_store().get(record.id) for record in self.table.unfinished()}
        return {uid: request for uid, request in found.items() if request is not None}

    def _start(self, record: JobRecord, request: JobRequest, plan: Plan) -> None:
        running = Flow(self, record, request, plan, self._logbook(record))
        skylogs.link_whole(record, self.log_path(record))
        self.archive.note(record, self.log_path(record))
        self._pruning.note(request.manifests)
        self.flows[record.id] = running
        self._tasks[record.id] = asyncio.create_task(self._see_through(running))

    async def _see_through(self, running: Flow) -> None:
        final = await running.run()
        del self.flows[final.id]
        try:
            await self._finish(final)
        finally:
            self._tasks.pop(final.id, None)
            self.schedule()

    def _end(self, record: JobRecord) -> None:
        """End a job that no flow runs."""
        self._tasks[record.id] = asyncio.create_task(self._finish(record))

        def ended(_: object) -> None:
            self._tasks.pop(record.id, None)
            self.caretaker.poke()

        self._tasks[record.id].add_done_callback(ended)

    async def _finish(self, record: JobRecord) -> None:
        book = self._logbook(record)
        self.table.put(record, self.table.plan(record.id) or Plan())
        self.bell.ring()
        with contextlib.suppress(OSError):  # a disk that fails: a restart tries again to clear up
            book.close()
            self._request_store().drop(record.id)
        self.archive.note(record, self.log_path(record))
        await self.archive.bring_soon(record.id)
        self._forget_settled()
        self._logbooks.pop(record.id)
        book.wake()
        self.bell.ring()

    def _forget_settled(self) -> None:
        for job_id in self.table.unsettled():
            record = self.table.get(job_id) if self.archive.holds(job_id) else None
            if record is not None and record.status.ended:
                self.table.drop_plan(job_id)

    def _explain(self, record: JobRecord, never: str | None) -> None:
        """Say in a waiting job's record why it cannot run on the nodes that are left, or no more."""
        reason = waits_for(never, self.nodes.going(), self._avoided, list(self.nodes.cordoned())) if never else ""
        if reason != record.reason:
            record = evolve(record, reason=reason)
            self.table.put(record)
            self._tell(record)

    def _tell(self, record: JobRecord) -> None:
        """Bring a job's new record to the records folder, and tell its followers."""
        self.archive.note(record, self.log_path(record))
        bringing = asyncio.create_task(self.archive.bring(record.id))
        self._background.add(bringing)
        bringing.add_done_callback(self._background.discard)
        self._logbook(record).wake()
        self.bell.ring()

    def _forget(self, record: JobRecord) -> None:
        """Leave nothing of a job that was not taken."""
        book = self._logbooks.pop(record.id, None)
        if book is not None:
            book.close()
        folder = self.log_path(record).parent
        with contextlib.suppress(OSError):
            self._request_store().drop(record.id)
            for path in folder.glob("job.*"):
                path.unlink()
            folder.rmdir()

    def _logbook(self, record: JobRecord) -> Logbook:
        if record.id not in self._logbooks:
            self._logbooks[record.id] = Logbook(self.log_path(record))
        return self._logbooks[record.id]

    def _request_store(self) -> RequestStore:
        if self._requests is None:
            self._requests = RequestStore(self.home, own_tmpfs=self.cluster.isolation != "plain")
        return self._requests
