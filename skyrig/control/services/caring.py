"""Caring for one service: what its steward says is heard, what is to be done about its nodes is done, one thing at a
time, and what came of it is written down."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import cattrs

from skyrig.control import folder, held, table
from skyrig.control.crew import Crew
from skyrig.control.look import AWAY_S, Look, deployment
from skyrig.control.services.capacity import NOTHING, Act, Action, decide
from skyrig.control.services.listening import Listener
from skyrig.control.ward import Ward, Wish
from skyrig.errors import SkyrigError
from skyrig.serve.state import ReplicaStatus, ServiceStatus, Snapshot, UpdateState

_LOOK_S = 5.0
"""How often is looked whether anything changed that nobody tells of."""

_HELD_S = 0.5
"""How often is looked whether a ward that somebody else is at work on is free."""

_PAUSES_S = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""How long something is left alone after it failed, or did not help, so often."""

_SETTLES_S = 8.0
"""How long a steward may take to see that what it wanted has been done."""

_MOST_LINES = 20


class Care:
    """The care for one ward. `run` ends when the ward is gone."""

    def __init__(self, ward: Ward, crew: Crew) -> None:
        self._ward = ward
        self._crew = crew
        self._changed = asyncio.Event()
        self._look: Look | None = None
        self._seen: object = None
        self._looked_at = 0.0
        self._listener: Listener | None = None
        self._last, self._in_vain = NOTHING, 0
        self._unwell: frozenset[int] = frozenset()
        self._doing: Act | None = None

    def poke(self) -> None:
        """Look now: something has changed."""
        self._changed.set()

    def hurry(self) -> None:
        """The ward is to go: what else is being done for it ends, as Ctrl-C ends a command."""
        if self._doing not in (None, Act.END):
            self._doing = None  # once is enough: a second time would end an engine at once
            self._crew.interrupt(self._ward)

    async def run(self) -> None:
        """Care for the ward until it is gone."""
        try:
            while await self._turn():
                pass
        finally:
            await self._listen_to(None)

    async def _turn(self) -> bool:
        """One look at all that is known, and at most one thing done. False where the ward is gone."""
        self._changed.clear()
        ward = table.ward(self._ward.name, self._ward.kind)
        if ward is None:
            self._tidy()
            return False
        self._ward = ward
        if held.is_held(ward.kind, ward.name):
            self._look = None  # whoever has it may change everything
            await self._pause(_HELD_S)
            return True
        look = await self._looked(ward)
        if look is None:
            return True
        listener = self._listener
        snapshot, away_s = (listener.snapshot, listener.away_s) if listener else (None, 0.0)
        bare = listener is not None and listener.bare
        repairs = self._in_vain if self._last.act is Act.REPAIR else 0
        action = decide(ward, look, snapshot, away_s, repairs, bare=bare)
        self._note(ward, look, snapshot)
        if action == NOTHING:
            self._last, self._in_vain = NOTHING, 0
            if ward.data.get("pause"):
                table.change(ward.name, ward.kind, data={"pause": None})
            await self._pause(_LOOK_S)
        elif (left_s := self._left_s(ward, action)) > 0:
            await self._pause(min(left_s, _LOOK_S))
        else:
            await self._do(ward, action, snapshot)
        return True

    async def _looked(self, ward: Ward) -> Look | None:
        """What there is of the cluster; None where that cannot be told now. It is looked at anew where there is a
        reason: it was deployed, or its head has not been heard for a while."""
        if self._look is None or self._is_stale():
            self._seen, self._looked_at = deployment(ward.stack), time.monotonic()
            try:
                self._look = await self._crew.look(ward)
            except SkyrigError as error:
                self._look = None
                table.change(ward.name, ward.kind, reason=error.message)
                await self._pause(_LOOK_S)
                return None
            told = ward.applied > 0 and ward.wish is Wish.UP and not self._look.off
            await self._listen_to(self._look if told else None)
        return self._look

    def _is_stale(self) -> bool:
        if deployment(self._ward.stack) != self._seen:
            return True
        if (ill := _unwell(self._listener.snapshot if self._listener is not None else None)) != self._unwell:
            self._unwell = ill  # perhaps its node went
            return bool(ill)
        if self._listener is None or not self._listener.away_s:
            return self._listener is None and time.monotonic() - self._looked_at > 2 * AWAY_S
        silent, since = self._listener.away_s, time.monotonic() - self._looked_at
        return since > min(AWAY_S, max(1.0, silent / 2))

    async def _listen_to(self, look: Look | None) -> None:
        cluster = look.cluster if look is not None else None
        if self._listener is not None:
            if cluster is not None and cluster == self._listener.cluster:
                return
            await self._listener.close()
        self._listener = Listener(cluster, self.poke) if cluster is not None else None

    def _left_s(self, ward: Ward, action: Action) -> float:
        """How long is still waited until this is tried again."""
        pause = ward.data.get("pause") or {}
        if pause.get("what") != _what(ward, action):
            return 0.0
        return min(float(pause["until"]) - time.time(), _PAUSES_S[-1])

    async def _do(self, ward: Ward, action: Action, snapshot: Snapshot | None) -> None:
        """Do it in a child, write down before what, and after how often it failed or did not help."""
        doing: dict[str, Any] = {**cattrs.unstructure(action), "act": str(action.act), "since": time.time()}
        fields: dict[str, Any] = {"data": {"doing": doing}}
        if action.act is Act.RETIRE:
            failed = _last_lines(snapshot)
            fields = {"failed": ward.version, "status": str(ServiceStatus.FAILED), "reason": action.why}
            fields["data"] = {"doing": doing, **({"last_lines": failed} if failed else {})}
        if table.change(ward.name, ward.kind, **fields) is None:
            return
        self._doing = action.act
        code = await self._crew.work(ward, action.act) if action.act is not Act.RETIRE or ward.alone else 0
        self._doing = self._look = None
        again = action == self._last
        self._in_vain = self._in_vain + 1 if again else 0
        self._last = action
        if code is None:
            return
        pause = self._next_pause(ward, action, failed=code != 0, again=again)
        table.change(ward.name, ward.kind, data={"doing": None, "pause": pause})

    def _next_pause(self, ward: Ward, action: Action, *, failed: bool, again: bool) -> dict[str, Any]:
        """How long the same is left alone now: where it went well for the first time, until it can have helped."""
        if not failed and not again:
            settled = time.time() + _SETTLES_S
            return {"what": _what(ward, action), "tries": 0, "until": settled}
        before = ward.data.get("pause") or {}
        tries = int(before.get("tries", 0)) + 1 if before.get("what") == _what(ward, action) else 1
        until = time.time() + _PAUSES_S[min(tries, len(_PAUSES_S)) - 1]
        return {"what": _what(ward, action), "tries": tries, "until": until}

    def _note(self, ward: Ward, look: Look, snapshot: Snapshot | None) -> None:
        """Write down what is news to people who look when neither steward nor controller is there."""
        if ward.gave_up or ward.wish is Wish.GONE:
            return
        if snapshot is None:
            reason = look.off or (self._listener.reason if self._listener is not None else "")
            status = str(ServiceStatus.NO_REPLICA) if look.off else ward.status
            if reason and not _failed(ward):
                table.change(ward.name, ward.kind, status=status, reason=reason)
            return
        data: dict[str, Any] = {}
        if snapshot.update is UpdateState.ROLLED_BACK:
            data["rolled_back"] = ward.version
        elif snapshot.status is ServiceStatus.READY and snapshot.serving >= snapshot.version:
            data["good"] = ward.version
        reason = ward.reason if _failed(ward) else snapshot.reason
        table.change(ward.name, ward.kind, status=str(snapshot.status), reason=reason, data=data)

    async def _pause(self, seconds: float) -> None:
        """Wait until something is told, for so long at most."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except asyncio.TimeoutError:
            return

    def _tidy(self) -> None:
        """Nothing is left of a ward that is gone, also where it was looked at meanwhile."""
        kept = folder.of_ward(self._ward.kind, self._ward.name).exists()
        lock = held.try_take(self._ward.kind, self._ward.name) if kept else None
        if lock is not None:
            held.release(lock, self._ward.kind, self._ward.name)


def _unwell(snapshot: Snapshot | None) -> frozenset[int]:
    """Replicas that were there and do not answer, or were lost."""
    if snapshot is None:
        return frozenset()
    bad = (ReplicaStatus.NOT_READY, ReplicaStatus.PREEMPTED)
    return frozenset(each.id for each in snapshot.replicas if each.status in bad)


def _what(ward: Ward, action: Action) -> str:
    """What is left alone for a while after it failed: the same for the same version, and for nodes in the same
    number."""
    number = f" {action.nodes} {action.ondemand}" if action.act is Act.NODES else ""
    return f"{action.act} v{ward.version}{number}"


def _failed(ward: Ward) -> bool:
    """Whether its reason is why something failed, which is tried again."""
    return bool((ward.data.get("pause") or {}).get("tries"))


def _last_lines(snapshot: Snapshot | None) -> list[str]:
    """What the replica printed last that failed last."""
    replicas = [each for each in snapshot.replicas if each.last_lines] if snapshot is not None else []
    return list(max(replicas, key=lambda each: each.ended_at).last_lines[-_MOST_LINES:]) if replicas else []
