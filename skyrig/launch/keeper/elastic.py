"""A gang that goes on without ranks whose nodes were lost, and takes them back when their nodes were made anew.

The launchers on the nodes (torchrun with MIN:MAX nodes) make a smaller group of those that are left and a larger one
when one comes back. They end and start training processes for that as they like, so a process that failed is no reason
to end the gang: only one that failed by the job's own doing is (see `Gang._judge`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import define, evolve, field, frozen

from skyrig.cluster.description import Node
from skyrig.launch.keeper import gang
from skyrig.launch.keeper.gang import GangEnd, Verdict
from skyrig.launch.keeper.logbook import Logbook
from skyrig.launch.keeper.rank import GRACE_S, Failure, Rank, RankEnd

_LOOK_EVERY_S = 0.5
"""How often it is looked for processes that failed."""

_SETTLING_S = 2.0
"""For how long a failure is left alone: longer than it takes a rank to count as silent once its connection broke, which
may be what the process died of."""

_EXCUSED_S = 15.0
"""For how long after a node was lost or came back failures are put down to that: launchers end what they find, and what
they start may meet those that they have not ended yet."""

_AGAIN_S = 5.0
"""Pause before it is tried again to reach a node that was lost: it may be cut off for a while only."""

_PARTING_S = 10.0
"""How long a rank that came late and failed waits for rank 0: it may have come when the job was about to end well."""

_MOST_EXCUSES = 3
"""How often in a row processes may fail for the want of a peer though no node was lost."""

_TOLD = (128 + 2, 128 + 9, 128 + 15)
"""Codes of processes that somebody else has ended, as launchers do."""

ABSENT = "absent"
"""RankEnd.why of a rank whose node was lost and that the job went on without."""


@frozen
class Fit:
    """Whether a node is ready for its rank: `problem` says why not, "" if it is; with `again` it may be later."""

    problem: str = ""
    again: bool = False


class Crew(Protocol):
    """What the gang needs of the job's flow. Each of these is told before it is acted upon."""

    def seat(self, number: int) -> tuple[Rank, Mapping[str, Any] | None]:
        """A rank on the node that it has now, and what starts it."""

    def absent(self, number: int) -> str:
        """Why there is no rank on its node any more; "" where there is one."""

    def lose(self, number: int, reason: str) -> None:
        """The job goes on without this rank."""

    async def rouse(self, number: int) -> None:
        """Have the processes of a rank end that wait for one that was lost."""

    def comer(self, number: int) -> Node | None:
        """The machine that a lost rank may join on: another one in its node's place, or the same, should it be there
        after all."""

    def is_made_anew(self, number: int) -> bool:
        """Whether another machine has taken the place of the one that a rank runs on."""

    async def fit(self, number: int, node: Node, leave: asyncio.Event) -> Fit:
        """Make a node ready for its rank, or `leave` it."""

    def join(self, number: int, node: Node) -> None:
        """The rank has this node from now on."""

    def excuse(self) -> None:
        """Failures up to now are no fault of the job's."""

    @property
    def excused(self) -> float:
        """The moment up to which they are not, on the event loop's clock."""

    def present(self, ranks: Sequence[Rank]) -> None:
        """These are the ranks that run now."""


@define(eq=False)
class _Seat:
    """One rank's place. `task` follows `rank` while it has one; `fitting` makes the node `comer` ready for it, `unfit`
    are the lives of those for which that was in vain, and none is looked for before `again_at`. `late`: it did not
    begin with the others."""

    number: int
    rank: Rank | None = None
    task: asyncio.Task[RankEnd] | None = None
    end: RankEnd | None = None
    comer: Node | None = None
    fitting: asyncio.Task[Fit] | None = None
    unfit: set[str] = field(factory=set)
    again_at: float = 0.0
    heeded: int = 0
    late: bool = False

    @property
    def runs(self) -> bool:
        """Whether its rank has not ended."""
        return self.task is not None and not self.task.done()

    @property
    def failures(self) -> list[Failure]:
        """Its processes that failed and about which nothing was decided yet."""
        return self.rank.failures[self.heeded :] if self.rank is not None else []

    def final(self) -> RankEnd:
        """How its rank ended: with what failed last, not with what was put down to others before."""
        assert self.task is not None
        end = self.task.result()
        new = self.failures
        return evolve(end, code=new[0].code, moment=new[0].moment) if end.code > 0 and new else end


class Gang:
    """The ranks of one job, of which `least` must be left, rank 0 among them. `news` is asked for an event that is set
    when the cluster was described again; the rest is as in gang.run."""

    def __init__(
        self,
        crew: Crew,
        count: int,
        least: int,
        cancel: asyncio.Event,
        logbook: Logbook,
        news: Callable[[], asyncio.Event],
        *,
        patience_s: float = 0.0,
        settle: Callable[[Verdict], None] = lambda verdict: None,
    ) -> None:
        self._crew = crew
        self._least = least
        self._cancel = cancel
        self._logbook = logbook
        self._news = news
        self._patience_s = patience_s
        self._settle = settle
        self._seats = [_Seat(number) for number in range(count)]
        self._leave = asyncio.Event()
        self._excuses = 0
        self._rousing: set[asyncio.Task[None]] = set()

    async def run(self) -> GangEnd:
        """Run to the end of the job."""
        for seat in self._seats:
            if not self._crew.absent(seat.number):
                self._start(seat)
        self._tell()
        verdict: Verdict | None = None
        try:
            while not self._cancel.is_set() and verdict is None and not self._over():
                news = self._news()
                self._take_in()
                await self._until_something(news)
                verdict = self._verdict()
            if verdict is not None and not self._cancel.is_set():
                self._settle(verdict)
        finally:
            await self._end_all()
        return self._result(None if self._cancel.is_set() else verdict)

    async def end(self, verdict: Verdict) -> GangEnd:
        """End what an earlier keeper left of a gang whose verdict it had settled."""
        for seat in self._seats:
            if not self._crew.absent(seat.number):
                seat.rank, _ = self._crew.seat(seat.number)
                seat.task = asyncio.create_task(seat.rank.run(None))
        await self._end_all()
        return self._result(verdict)

    # -- coming and going

    def _start(self, seat: _Seat) -> None:
        seat.rank, spec = self._crew.seat(seat.number)
        seat.heeded = 0
        spec = None if self._cancel.is_set() else spec
        seat.task = asyncio.create_task(seat.rank.run(spec, self._patience_s))

    def _tell(self) -> None:
        self._crew.present([seat.rank for seat in self._seats if seat.rank is not None and seat.runs])

    def _lose(self, seat: _Seat, end: RankEnd) -> None:
        seat.task = seat.rank = None
        seat.end = evolve(end, code=-1)
        seat.again_at = asyncio.get_running_loop().time() + (0.0 if end.why == "lost" else _AGAIN_S)
        self._crew.lose(seat.number, end.reason)
        self._excuse()
        self._tell()
        for left in self._seats:
            if left.runs:
                rousing = asyncio.create_task(self._crew.rouse(left.number))
                self._rousing.add(rousing)
                rousing.add_done_callback(self._rousing.discard)

    def _take_in(self) -> None:
        """Begin to make ready the nodes that came, and start the ranks of those that are."""
        if any(seat.end is not None and seat.end.code == 0 for seat in self._seats):
            return  # the job is about to end well
        for seat in self._seats:
            if seat.task is None:
                self._make_ready(seat)
            elif seat.rank is not None and seat.runs and self._crew.is_made_anew(seat.number):
                seat.rank.lose("it was made anew")

    def _make_ready(self, seat: _Seat) -> None:
        now = asyncio.get_running_loop().time()
        if seat.fitting is None and now >= seat.again_at and (comer := self._crew.comer(seat.number)):
            if comer.life in seat.unfit:
                return
            seat.comer = comer
            seat.fitting = asyncio.create_task(self._crew.fit(seat.number, comer, self._leave))
        if seat.fitting is None or not seat.fitting.done() or seat.comer is None:
            return
        fit, comer, seat.fitting = seat.fitting.result(), seat.comer, None
        seat.again_at = now + _AGAIN_S
        if not fit.problem:
            self._join(seat, comer)
        elif not fit.again:
            seat.unfit.add(comer.life)
            self._logbook.note(f"rank {seat.number} cannot join again on {comer.id}: {fit.problem}")

    def _join(self, seat: _Seat, comer: Node) -> None:
        self._crew.join(seat.number, comer)
        seat.late, seat.end = True, None
        self._start(seat)
        self._excuse()
        self._tell()

    # -- looking

    async def _until_something(self, news: asyncio.Event) -> None:
        tasks = [seat.task for seat in self._seats if seat.task is not None and not seat.task.done()]
        fitting = [seat.fitting for seat in self._seats if seat.fitting is not None and not seat.fitting.done()]
        events = [asyncio.create_task(event.wait()) for event in (news, self._cancel)]
        waiting: set[asyncio.Future[Any]] = {*tasks, *fitting, *events}
        await asyncio.wait(waiting, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        for event in events:
            event.cancel()

    def _over(self) -> bool:
        """Whether each rank that has a node has ended, in a way that does not make the job fail."""
        return all(seat.task is None or seat.end is not None for seat in self._seats)

    def _verdict(self) -> Verdict | None:
        """Take note of ranks that ended, and find the one that makes the job fail, if there is one by now."""
        for seat in self._seats:
            if seat.task is None or not seat.task.done() or seat.end is not None:
                continue
            end = seat.task.result()
            if end.code == 0:
                seat.end = end
            elif _was_taken(end, late=seat.late):
                if not self._bears(seat):
                    return Verdict(seat.number, end)
                self._lose(seat, end)
        return self._judge()

    def _bears(self, lost: _Seat) -> bool:
        """Whether the job goes on without one more rank."""
        left = [seat for seat in self._seats if seat is not lost and seat.task is not None]
        return lost.number != 0 and len(left) >= self._least

    def _judge(self) -> Verdict | None:
        """The rank that failed first by the job's own doing. While one is silent that is not judged: it may be lost,
        and the failure no more than what comes of it."""
        now = asyncio.get_running_loop().time()
        failed = [(self._moment(seat), seat.number) for seat in self._seats if self._has_failed(seat)]
        if not failed or any(seat.runs and seat.rank and seat.rank.silent_s for seat in self._seats):
            return None
        if now < min(failed)[0] + _SETTLING_S:
            return None
        seats = [self._seats[number] for _, number in sorted(failed)]
        own = [seat for seat in seats if not self._excusable(seat)]
        if any(seat.runs for seat in seats) and not own:
            self._put_aside([seat for seat in seats if seat.runs])
            return None
        culprit = (own or seats)[0]
        if culprit.late and not culprit.runs and self._is_ending_well(culprit, now):
            return None
        return self._of(culprit)

    def _has_failed(self, seat: _Seat) -> bool:
        return bool(seat.task is not None and seat.end is None and (seat.task.done() or seat.failures))

    def _moment(self, seat: _Seat) -> float:
        if seat.failures:
            return seat.failures[0].moment
        return seat.task.result().moment if seat.task is not None and seat.task.done() else 0.0

    def _excusable(self, seat: _Seat) -> bool:
        """Whether a rank's processes failed, as far as can be seen, because others came, went or failed."""
        codes = {failure.code for failure in seat.failures if failure.moment > self._crew.excused + _EXCUSED_S}
        if not seat.runs:
            return gang.lost_its_peer(self._logbook, seat.number)
        return codes <= set(_TOLD) or (self._excuses < _MOST_EXCUSES and gang.lost_its_peer(self._logbook, seat.number))

    def _put_aside(self, seats: Sequence[_Seat]) -> None:
        """Forget failures that the launchers make good."""
        late = [each for seat in seats for each in seat.failures if each.moment > self._crew.excused + _EXCUSED_S]
        self._excuses += any(each.code not in _TOLD for each in late)
        for seat in seats:
            seat.heeded += len(seat.failures)

    def _excuse(self) -> None:
        """What fails from now on for a while does so because a node was lost or came."""
        self._crew.excuse()
        self._excuses = 0
        for seat in self._seats:
            seat.heeded += len(seat.failures)

    def _is_ending_well(self, seat: _Seat, now: float) -> bool:
        """Whether a rank that came late and failed came too late; it is left be as long as that may turn out so."""
        first = self._seats[0]
        if first.end is not None and first.end.code == 0:
            seat.end = seat.final()
            return True
        return now < self._moment(seat) + _PARTING_S

    def _of(self, culprit: _Seat) -> Verdict:
        hung = gang.stood_still(self._logbook, culprit.number)
        if not culprit.runs:
            return Verdict(culprit.number, culprit.final(), hung)
        new = [each for each in culprit.failures if each.code not in _TOLD] or culprit.failures
        return Verdict(culprit.number, RankEnd(new[0].code, "exit", new[0].moment, failed=True), hung)

    # -- the end

    async def _end_all(self) -> None:
        self._leave.set()
        for rousing in self._rousing:
            rousing.cancel()
        tasks: list[asyncio.Task[Any]] = []
        for seat in self._seats:
            if seat.rank is not None and seat.runs:
                seat.rank.end(GRACE_S)
            tasks += [task for task in (seat.task, seat.fitting) if task is not None]
        if tasks:
            await asyncio.wait(tasks)

    def _result(self, verdict: Verdict | None) -> GangEnd:
        ends = [self._end_of(seat) for seat in self._seats]
        if verdict is not None:
            ends[verdict.culprit] = verdict.end
            if not verdict.end.lost:  # nodes that were lost before are not what the job failed of
                for seat in self._seats:
                    if seat.task is None:
                        ends[seat.number] = evolve(ends[seat.number], why=ABSENT)
        if verdict is None:
            return GangEnd(tuple(ends), -1, self._cancel.is_set())
        return GangEnd(tuple(ends), verdict.culprit, self._cancel.is_set(), verdict.hung)

    def _end_of(self, seat: _Seat) -> RankEnd:
        if seat.task is not None:
            return seat.task.result()
        return seat.end or RankEnd(-1, "lost", 0.0, self._crew.absent(seat.number))


def _was_taken(end: RankEnd, *, late: bool) -> bool:
    """Whether a rank ended because its node went away or is about to, which tells its supervisor to end it; a node that
    came late and would not start it is none that the job needs."""
    return end.lost or end.why == "ended" or (late and end.why == "refused")
