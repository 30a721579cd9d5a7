"""One job's way from its turn in the queue to its end: files, setup, run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence, Set
from typing import Any

from attrs import evolve

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.progress import Progress
from skyrig.fleet.target import inside
from skyrig.launch import nodeside
from skyrig.launch.job import CANCELLED, JobRecord, JobRequest, JobStatus, Scripts
from skyrig.launch.keeper import booting, ends, gang, replacing, sameness, setups, stillness
from skyrig.launch.keeper.ends import End
from skyrig.launch.keeper.house import House
from skyrig.launch.keeper.logbook import Logbook
from skyrig.launch.keeper.nodes import FilesRefused
from skyrig.launch.keeper.notices import Audience
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.rank import Rank
from skyrig.launch.keeper.seating import Seating, Start

BOOT_PATIENCE_S = 30.0
"""Seconds beyond the lease for which a node that shall start a rank is waited for: it may only just boot."""


class Flow:
    """Runs one job from where its record and plan say that it is: at its turn, or where an earlier keeper process left
    it. All that is started on a node is started in a way that joins what was started there before. `now` is for
    followers who watch it before it runs: under `files` bytes that were brought to nodes and all that are known to be
    wanted, under `setup` ids of the nodes where that runs."""

    def __init__(self, keeper: House, record: JobRecord, request: JobRequest, plan: Plan, logbook: Logbook) -> None:
        self.record = record
        self.plan = plan
        self.logbook = logbook
        self.now: Mapping[str, Any] = {}
        self._cancel, self._news = asyncio.Event(), asyncio.Event()
        self._gone: dict[str, str] = {}
        self._losing = asyncio.Event()
        self._at_work: Sequence[Rank] = ()
        self._keeper = keeper
        self._request = request
        self._cluster = keeper.cluster
        self._seating = Seating(keeper, record, request, logbook)
        self._nodes = tuple(plan.nodes.get(node_id) or self._cluster.node(node_id) for node_id in plan.shares)
        self.audience = Audience(keeper.lookout.notices, self._nodes, logbook.note)
        self._resumed = record.status in (JobStatus.SETTING_UP, JobStatus.RUNNING)
        if plan.cancel or plan.hang:
            self._cancel.set()

    def cancel(self, reason: str) -> None:
        """End the job with every process of it; remembered, should the keeper die meanwhile."""
        if not self.plan.cancel:
            self.plan = self.plan.with_changes(cancel=reason)
            self._keeper.advance(self.record, self.plan)
        self._cancel.set()

    def uses(self, node_id: str) -> bool:
        """Whether the job runs on a node, or may bring files there or run its setup."""
        if node_id in self.plan.shares:
            return True
        return self.record.status is not JobStatus.RUNNING and self._is_for_all and not self._request.on

    @property
    def is_sampled(self) -> bool:
        """Whether its ranks run, and it wants to know what they do to their nodes."""
        return self._request.samples and self.record.status is JobStatus.RUNNING

    @property
    def silent(self) -> Mapping[str, float]:
        """The nodes of its ranks that cannot be heard, with the seconds for which that is so by now."""
        found = {rank.target.id: rank.silent_s for rank in self._at_work}
        return {node_id: seconds for node_id, seconds in found.items() if seconds}

    @property
    def quiet_s(self) -> float:
        """For how many seconds none of its ranks has written or given a sign of life."""
        return min((rank.quiet_s for rank in self._at_work), default=0.0)

    @property
    def ranks(self) -> Sequence[Rank]:
        """Those that run now."""
        return self._at_work

    def meet(self, cluster: ClusterDescription) -> None:
        """Learn that the cluster is this one now: machines behind which there are others by now, or none, are gone."""
        present = {node.id: node.incarnation for node in cluster.nodes}
        known = self.plan.incarnations
        gone = [node_id for node_id, machine in known.items() if present.get(node_id) != machine]
        for node_id in gone:
            if node_id not in self._gone and self.uses(node_id):
                self._gone[node_id] = self._keeper.lookout.notices.gone([node_id], known)
                self._losing.set()
        for rank in self._at_work:
            if rank.target.id in self._gone:
                rank.lose(self._gone[rank.target.id])

    async def run(self) -> JobRecord:
        """Run the job to its end and return its final record. Never raises but for cancellation of the task."""
        try:
            end = None if self.record.status is JobStatus.RUNNING else await self._before_run()
            if end is None:
                end = await self._run()
        except SkyrigError as error:
            end = ends.of_error(error)
        except Exception as error:  # a defect of ours must end this job alone, with its reason, and not the keeper
            self._keeper.log.exception("job %d", self.record.id)
            end = ends.of_error(SkyrigError(f"the keeper failed: {error!r}"))
        return evolve(
            self.record,
            status=end.status,
            ended_at=time.time(),
            exit_code=end.exit_code,
            exit_codes=end.exit_codes,
            culprit=end.culprit,
            reason=end.reason,
            cause=end.cause,
            lost=end.lost,
        )

    async def _before_run(self) -> End | None:
        """Files and setup; the job's end if it ends here already."""
        setup = self._request.setup
        nodes = self._meant if self._is_for_all else self._nodes
        if self.plan.setup is None and (unfit := await self._booted(nodes)) is not None:
            return unfit
        if self._request.manifests and self.plan.setup is None:
            spreading = self._keeper.spread(self._request, nodes, self.logbook.note, self._sent)
            try:
                await self._unless_cancelled(spreading)
            except FilesRefused as refused:
                return ends.of_files(refused.message, refused.exit_code)
            self._tell_now()
        if self._request.buckets and self.plan.setup is None and (unfit := await self._attached(nodes)) is not None:
            return unfit
        if self._cancel.is_set() and self.plan.setup is None:
            return self._cancelled()
        ended = await self._setup(setup) if setup is not None else None
        return ended if ended is not None or self._request.preflight is None else await self._preflighted()

    async def _preflighted(self) -> End | None:
        """See whether the job's nodes are fit: the job's end where they are not, or where that is all of it."""
        asked, found = self._request.preflight, []

        async def look() -> None:
            assert asked is not None
            found.append(await self._keeper.fitness.run(self.record, self._nodes, asked, self.logbook.note))

        await self._unless_cancelled(look())
        if self._cancel.is_set():
            return self._cancelled()
        return ends.of_preflight(found[0], asked, self._nodes) if asked is not None else None

    async def _booted(self, nodes: Sequence[Node]) -> End | None:
        """Wait until what each node's boot starts is done: the job's end where that came out badly on one."""
        if self._cluster.isolation != "machine":
            return None
        problems: dict[str, str] = {}

        async def wait() -> None:
            problems.update(await booting.wait(self._keeper.pool, nodes, self.logbook.note))

        await self._unless_cancelled(wait())
        return ends.of_unfit(problems, self._nodes)

    async def _attached(self, nodes: Sequence[Node]) -> End | None:
        """Attach the job's buckets: its end where that cannot be on one of its nodes, or of those that setup is for."""
        problems: dict[str, str] = {}

        async def attach() -> None:
            problems.update(await self._keeper.attach(self._request, nodes, self.logbook.note))

        await self._unless_cancelled(attach())
        return ends.of_unfit(problems, self._nodes)

    @property
    def _is_for_all(self) -> bool:
        """Whether the job brings something to all nodes of the cluster, be it placed on a few of them."""
        return self._request.setup is not None or bool(self._request.mounts or self._request.buckets)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The job's nodes in rank order, each as it is or was."""
        return self._nodes

    @property
    def group(self) -> tuple[Node, ...]:
        """The nodes that setup and files are for: the cluster's, or the job's own where it names them, as one that is
        part of a service does; then it does not matter to it what becomes of others."""
        return self._nodes if self._request.on else self._cluster.nodes

    @property
    def _meant(self) -> list[Node]:
        """Those of them that are not about to go."""
        return self._keeper.usable(self.group, self.plan.shares)

    async def _unless_cancelled(self, work: Coroutine[None, None, None]) -> None:
        """Do `work`, or leave it when the job is cancelled. NodeLost when a node that it uses is gone for certain."""
        working, cancelling = asyncio.create_task(work), asyncio.create_task(self._cancel.wait())
        losing = asyncio.create_task(self._losing.wait())
        await asyncio.wait({working, cancelling, losing}, return_when=asyncio.FIRST_COMPLETED)
        cancelling.cancel()
        losing.cancel()
        if working.done():
            working.result()
        working.cancel()
        for node_id, why in self._gone.items():
            raise NodeLost(f"lost node {node_id}: {why}", node_id=node_id)

    def _cancelled(self, codes: tuple[int, ...] = ()) -> End:
        if self.plan.hang and not self.plan.cancel:
            return ends.of_stillness(self.plan.hang, codes)
        return End(JobStatus.CANCELLED, CANCELLED, codes, reason=self.plan.cancel)

    async def _setup(self, setup: Scripts) -> End | None:
        """Run setup at once on all nodes where it has not run in this form; its failure ends the job."""
        group, table = self.group, self._keeper.table
        about = (self._keeper, self._request, setup, group, self._cluster)
        if self.plan.setup is None:
            await self._unless_cancelled(setups.recall(*about, self._meant))
            if self._cancel.is_set():
                return self._cancelled()
        due = self._setup_due(await setups.setup_parts(*about))
        if not due:
            return None
        await setups.settled()
        before = {node.id for node in due} if self._resumed else await self._standing(due)
        for node in due:
            table.set_setup_key(node.id, node.life, "")
        seats = [self.setup_seat(setup, node, group) for node in due]
        left = [node.id for node in due]
        self._tell_now(setup=tuple(left))

        def set_up(number: int) -> None:
            left.remove(due[number].id)
            self._tell_now(setup=tuple(left))

        ended = await self._run_gang([rank for rank, _ in seats], [spec for _, spec in seats], set_up)
        done = [node for node, end in zip(due, ended.ends, strict=True) if end.code == 0]
        undone = before - await self._standing(done, otherwise=before)
        await setups.remember(*about, done, undone)
        if ended.cancelled:
            return self._cancelled()
        return self._failure(ended, due, JobStatus.FAILED_SETUP, "setup") if ended.culprit >= 0 else None

    def _tell_now(self, **now: Any) -> None:
        """Let followers see what goes on, and nothing else."""
        self.now = now
        self.logbook.wake()

    def _sent(self, progress: Progress) -> None:
        self._tell_now(files=(progress.size, progress.of_size))

    async def _standing(self, nodes: Sequence[Node], otherwise: Set[str] = frozenset()) -> Set[str]:
        """Ids of the nodes where the job's files are as they were brought; `otherwise` if that cannot be told."""
        if not (self._request.manifests and nodes):
            return frozenset()
        try:
            return await self._keeper.standing(self._request, nodes)
        except SkyrigError:  # a node is lost, which its rank is about to say
            return otherwise

    def _setup_due(self, parts: sameness.Parts) -> list[Node]:
        """Where this job runs its setup: decided once, said why, and remembered."""
        table = self._keeper.table
        if self.plan.setup is None:
            why = {node.id: sameness.difference(table.setup_key(node.id, node.life), parts) for node in self._meant}
            forced = self._request.force_setup
            due = tuple(node_id for node_id, reason in why.items() if forced or reason is not None)
            self._advance(JobStatus.SETTING_UP if due else self.record.status, setup=due)
            if done := [node_id for node_id in why if node_id not in due]:
                self.logbook.note(f"setup skipped on {', '.join(done)}: nothing changed (--force-setup runs it)")
            for reason in dict.fromkeys(filter(None, why.values())):
                where = ", ".join(node_id for node_id, each in why.items() if each == reason)
                self.logbook.note(f"setup runs again on {where}: {reason}")
        return [node for node in self.group if node.id in (self.plan.setup or ())]

    async def _run(self) -> End:
        request, record = self._request, self.record
        if record.status is not JobStatus.RUNNING:
            if self._cancel.is_set():
                return self._cancelled()
            kept = {node.id: node for node in self._nodes} if request.min_nodes else {}
            self._advance(JobStatus.RUNNING, port=await self._free_port(), nodes=kept)
        hanging = asyncio.create_task(self._end_when_still(request.hang_s)) if request.hang_s else None
        ended = await self._ranks_run(request)
        if hanging is not None:
            hanging.cancel()
        if ended.cancelled:
            return self._cancelled(ended.exit_codes)
        if ended.culprit < 0:
            return End(JobStatus.SUCCEEDED, 0, ended.exit_codes)
        return self._failure(ended, self._nodes, JobStatus.FAILED, "")

    async def _ranks_run(self, request: JobRequest) -> gang.GangEnd:
        """The job's ranks, to their end."""
        if request.min_nodes:
            patience, self._resumed = 0.0 if self._resumed else BOOT_PATIENCE_S, False
            return await replacing.run(self, self._keeper, request, self._cancel, patience)
        seats = [self.seat(number, node) for number, node in enumerate(self._nodes)]
        return await self._run_gang([rank for rank, _ in seats], [spec for _, spec in seats])

    async def _end_when_still(self, hang_s: float) -> None:
        """End the job when it stands still; remembered, should the keeper die meanwhile."""
        reason = await stillness.until_still(self, hang_s)
        self._advance(self.record.status, hang=reason)
        self._cancel.set()

    def seat(self, number: int, node: Node, life: str = "") -> Start:
        """A rank on its node, and what starts it there; `life` names one that it was not the first to begin in."""
        nodes = tuple(node if rank == number else each for rank, each in enumerate(self._nodes))
        return self._seating.rank(number, nodes, self._cluster, self.plan, life)

    def setup_seat(self, setup: Scripts, node: Node, group: Sequence[Node], life: str = "") -> Start:
        """The same of its setup, which the nodes `group` get."""
        return self._seating.setup(setup, node, group, self._cluster, self.plan, life)

    def at_work(self, ranks: Sequence[Rank]) -> None:
        """These are the ranks that run now: they hear of notices and of nodes that are gone."""
        self._at_work = ranks
        for rank in ranks:
            if rank.target.id in self._gone:
                rank.lose(self._gone[rank.target.id])
        self.audience.is_now(ranks, self._nodes)

    def look_again(self) -> None:
        """Take the cluster as it is described now."""
        self._cluster = self._keeper.cluster

    def described(self) -> None:
        """The cluster was described again."""
        self._news.set()
        self._news = asyncio.Event()

    def news(self) -> asyncio.Event:
        """An event that is set when the cluster was described again."""
        return self._news

    def write(self, **decided: Any) -> None:
        """Write what is decided about the running job; its record tells which nodes are `lost`."""
        self.record = evolve(self.record, lost=tuple(decided.get("lost", self.record.lost)))
        self._advance(self.record.status, **decided)

    def moved(self, number: int, node: Node) -> None:
        """A rank has another node from now on."""
        self._gone.pop(node.id, None)
        self._nodes = tuple(node if rank == number else each for rank, each in enumerate(self._nodes))

    async def _run_gang(
        self,
        ranks: Sequence[Rank],
        specs: Sequence[Mapping[str, Any]],
        ended: Callable[[int], None] = lambda rank: None,
    ) -> gang.GangEnd:
        """Run ranks to their end. Those of a job that is cancelled, or whose failure is settled, are joined in order to
        end them, never started."""
        if self.plan.verdict is not None:
            return await gang.end(ranks, self.plan.verdict)
        self.at_work(ranks)
        orders = [None] * len(specs) if self._cancel.is_set() else specs
        patience = 0.0 if self._resumed else BOOT_PATIENCE_S
        self._resumed = False
        return await gang.run(
            ranks, orders, self._cancel, self.logbook, patience_s=patience, settle=self.settle, ended=ended
        )

    def settle(self, verdict: gang.Verdict) -> None:
        """Write why the job fails."""
        self._advance(self.record.status, verdict=verdict)

    def _failure(self, ended: gang.GangEnd, nodes: Sequence[Node], status: JobStatus, what: str) -> End:
        return ends.of_gang(ended, nodes, self._keeper.lookout.notices, status, what)

    def _advance(self, status: JobStatus, **decided: Any) -> None:
        """Write, at once, that the job is in a new state and what is decided about it."""
        started = self.record.started_at or time.time()
        self.record = evolve(self.record, status=status, started_at=started)
        self.plan = self.plan.with_changes(**decided)
        self._keeper.advance(self.record, self.plan)

    async def _free_port(self) -> int:
        """A port that is free on rank 0's node, and promised to no other job there."""
        target = inside(self._nodes[0])
        taken = self._keeper.promised_ports(target.id)
        command, stdin = nodeside.program("free_port", {"taken": sorted(taken)})
        found = await fanout.run(self._keeper.pool, target, command, stdin=stdin, timeout_s=30)
        printed = found.stdout.split()
        if not printed or not printed[-1].isdigit():
            raise SkyrigError(f"{target.id} has no free port for the rendezvous", hint="see what listens there")
        return int(printed[-1])
