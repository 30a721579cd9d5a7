"""Caring for one managed job: what its cluster and its keeper say is heard, what is to be done is done, one thing at a
time, and what has become of it is written down before."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import cattrs
from attrs import evolve

from skyrig.cluster.description import ClusterDescription
from skyrig.control import held, table
from skyrig.control.crew import Crew
from skyrig.control.jobs import wards as jobs
from skyrig.control.jobs.advance import changed, ended
from skyrig.control.jobs.decide import Decision, decide, what
from skyrig.control.jobs.known import NOTHING, URGENT, Act, Known, Tried, recovery
from skyrig.control.jobs.listening import Listener
from skyrig.control.look import Look, deployment
from skyrig.control.ward import JOB, Ward, Wish
from skyrig.errors import SkyrigError
from skyrig.jobs.spec import ManagedSpec, RecoverySpec
from skyrig.jobs.state import ManagedJob, ManagedStatus

_LOOK_S = 5.0
"""How often is looked whether anything changed that nobody tells of."""

_HELD_S = 0.5
"""How often is looked whether a ward that somebody else is at work on is free."""

_PAUSES_S = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""How long something is left alone after it failed so often."""

_AGAIN_S = 1.0
"""How often a cluster is looked at whose head, or one of whose nodes, is silent."""


class JobCare:
    """The care for one managed job. `run` ends when the ward is past, or gone."""

    def __init__(self, ward: Ward, crew: Crew) -> None:
        self._ward = ward
        self._crew = crew
        self._changed = asyncio.Event()
        self._spec: ManagedSpec | None = None
        self._look: Look | None = None
        self._seen: object = None
        self._looked_at = 0.0
        self._listener: Listener | None = None
        self._doing: Act | None = None

    def poke(self) -> None:
        """Look now: something has changed."""
        self._changed.set()

    def hurry(self) -> None:
        """The ward is to go: what else is being done for it ends, as Ctrl-C ends a command."""
        if self._doing not in (None, Act.END, Act.FINISH):
            self._doing = None  # once is enough: a second time would end an engine at once
            self._crew.interrupt(self._ward)

    async def run(self) -> None:
        """Care for the ward until it is past."""
        try:
            while await self._turn():
                pass
        finally:
            await self._listen_to(None, "")

    async def _turn(self) -> bool:
        """One look at all that is known, and at most one thing done. False where the ward is past."""
        self._changed.clear()
        ward = table.ward(self._ward.name, JOB)
        if ward is None or ward.wish is Wish.PAST:
            return False
        self._ward = ward
        if held.is_held(JOB, ward.name):
            self._look = None  # whoever has it may change everything
            await self._pause(_HELD_S)
            return True
        job = jobs.job(ward)
        if _needs_look(ward, job) and not await self._looked(ward, job):
            return True
        known = self._known(ward, job)
        decision = decide(known)
        if not await self._written(ward, known, decision):
            return True
        if decision.action.act is Act.PAST:
            jobs.past(ward, _last(ward, decision.job))
            return False
        await self._act(ward, decision)
        return True

    def _known(self, ward: Ward, job: ManagedJob) -> Known:
        """All that is known of the job now."""
        data, defect = ward.data, str(ward.data.get("defect", ""))
        if self._spec is None and not defect:
            try:
                self._spec = jobs.spec(ward)
            except SkyrigError as error:
                defect = error.message
        told, listener = data.get("told") or {}, self._listener
        current = job.current
        if ward.reason and not current.status.ended and not current.reason:
            job = _reasoned(job, ward.reason)
        return Known(
            job,
            self._spec or ManagedSpec(()),
            time.time(),
            gone=ward.wish is Wish.GONE,
            look=self._look,
            sight=listener.sight if listener is not None else None,
            away_s=listener.away_s if listener is not None else 0.0,
            told=str(told.get("key", "")),
            head=str(told.get("head", "")),
            tried=cattrs.structure(data["pause"], Tried) if data.get("pause") else None,
            cleared=int(data.get("cleared", 0)),
            spares=data.get("spares") or {},
            suspects=data.get("suspects") or {},
            defect=defect,
        )

    async def _written(self, ward: Ward, known: Known, decision: Decision) -> bool:
        """Write down what has become of the job. False where all must be looked at again before anything is done: it is
        another attempt now, and the cluster was looked at before the last one ended."""
        if decision.job == known.job:
            if known.gone and not known.job.status.ended and ward.status != str(ManagedStatus.CANCELLING):
                jobs.put(ward, known.job)
            return True
        data: dict[str, Any] = {}
        before, now = known.job.current, decision.job.current
        if (before.index, before.attempt) != (now.index, now.attempt):
            data["pause"] = None
            there = self._look.cluster if self._look is not None else None
            data["suspects"] = {node.id: node.incarnation for node in there.nodes} if there is not None else None
        fields: dict[str, Any] = {}
        if before.status is not now.status:
            fields["reason"] = now.reason
        jobs.put(ward, decision.job, data=data, **fields)
        if not data or now.attempt == 1:
            return True
        listener = self._listener
        if listener is not None and listener.changed_at > self._looked_at:
            self._look = None
        return False

    async def _looked(self, ward: Ward, job: ManagedJob) -> bool:
        """See that it is known what there is of the cluster, and have its keeper listened to; False where that cannot
        be told now. It is looked at anew where there is a reason."""
        if self._look is None or self._is_stale():
            self._seen, self._looked_at = deployment(ward.stack), time.monotonic()
            try:
                self._look = await self._crew.look(ward)
            except SkyrigError as error:
                self._look = None
                table.change(ward.name, JOB, reason=error.message)
                await self._pause(_LOOK_S)
                return False
        told = str((ward.data.get("told") or {}).get("key", ""))
        key = job.current.key(job.id)
        await self._listen_to(self._look if told == key else None, key)
        return True

    def _is_stale(self) -> bool:
        if deployment(self._ward.stack) != self._seen:
            return True
        listener, since = self._listener, time.monotonic() - self._looked_at
        if listener is None:
            return since > _LOOK_S
        if listener.sight is None:
            return since > min(_LOOK_S, max(_AGAIN_S, listener.away_s / 2))
        record = listener.sight.record
        unwell = bool(listener.sight.silent) or (record is not None and bool(record.lost))
        if unwell and listener.changed_at > self._looked_at:
            return True
        return unwell and since > _AGAIN_S

    async def _listen_to(self, look: Look | None, key: str) -> None:
        cluster = look.cluster if look is not None and not look.off else None
        listener = self._listener
        if listener is not None:
            if cluster is not None and (cluster, key) == (listener.cluster, listener.key):
                return
            self._listener = None
            await listener.close()
        if cluster is not None:
            self._listener = Listener(cluster, key, self.poke, self._lease_s(cluster))

    def _lease_s(self, cluster: ClusterDescription) -> float:
        """How long the controller's lease on a cluster is: nodes that cost money have one, others where that is asked
        for."""
        how = recovery(self._spec or ManagedSpec(()), jobs.job(self._ward).current)
        return how.lease_s if cluster.cloud != "local" or how.lease_s != RecoverySpec().lease_s else 0.0

    async def _act(self, ward: Ward, decision: Decision) -> None:
        """Do what is to be done, unless it failed a short while ago."""
        action = decision.action
        if action.act is Act.NOTHING:
            if action != NOTHING:
                table.change(ward.name, JOB, reason=action.why)
            silent = self._listener is not None and (self._listener.sight is None or self._listener.sight.silent)
            await self._pause(_AGAIN_S if silent else _LOOK_S)
        elif (left_s := self._left_s(ward, decision)) > 0:
            await self._pause(min(left_s, _LOOK_S))
        else:
            await self._do(ward, decision)

    def _left_s(self, ward: Ward, decision: Decision) -> float:
        """How long is still waited until this is tried again."""
        pause = ward.data.get("pause") or {}
        if pause.get("what") != what(decision.action.act, decision.job):
            return 0.0
        return min(float(pause["until"]) - time.time(), _PAUSES_S[-1])

    async def _do(self, ward: Ward, decision: Decision) -> None:
        """Do it in a child, write down before what, and after that it failed."""
        action = decision.action
        doing = {**cattrs.unstructure(action), "act": str(action.act), "began": time.time()}
        if table.change(ward.name, JOB, data={"doing": doing, "never": None}) is None:
            return
        self._doing = action.act
        code = await self._crew.work(ward, action.act, urgent=action.act in URGENT)
        self._doing = self._look = None
        await self._listen_to(None, "")
        if code is None:
            return
        now = table.ward(ward.name, JOB)
        if now is not None:
            again = action.act is Act.MEND and not action.nodes  # whether it helped is seen later
            pause = _next_pause(now, decision, code) if code or again else None
            table.change(ward.name, JOB, data={"doing": None, "pause": pause})

    async def _pause(self, seconds: float) -> None:
        """Wait until something is told, for so long at most."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except asyncio.TimeoutError:
            return


def _needs_look(ward: Ward, job: ManagedJob) -> bool:
    """Whether what is to be done depends on what there is of the cluster."""
    task = job.current
    if ward.wish is Wish.GONE or task.status.ended or task.attempt == 0:
        return False
    told = str((ward.data.get("told") or {}).get("key", ""))
    return task.attempt > 1 or told == task.key(job.id)


def _next_pause(ward: Ward, decision: Decision, code: int) -> dict[str, Any]:
    """How long the same is left alone now that it has failed."""
    act, before = what(decision.action.act, decision.job), ward.data.get("pause") or {}
    tries = int(before.get("tries", 0)) + 1 if before.get("what") == act else 1
    until = time.time() + _PAUSES_S[min(tries, len(_PAUSES_S)) - 1]
    never = bool(ward.data.get("never"))
    return cattrs.unstructure(Tried(act, code, tries, until, never))  # type: ignore[no-any-return]


def _reasoned(job: ManagedJob, reason: str) -> ManagedJob:
    """The job whose task at work says why it does not go on."""
    return changed(job, evolve(job.current, reason=reason))


def _last(ward: Ward, job: ManagedJob) -> ManagedJob:
    """The job of which nothing is left."""
    if job.status.ended:
        return job
    return ended(job, ManagedStatus.CANCELLED, "cancelled", time.time())
