"""Switches off a cluster that nobody uses, whose time to live is over, or whose controller is gone: counts on the head,
and acts with no client alive.

It judges when something changes (a job comes or ends, a client lets go) and when its time may have come, not by the
clock. What it decides is written before it is done: a keeper that follows one that was killed counts on from the same
moment, and goes on leaving where that had begun. From then on no job is taken: submitting and acting exclude each other
because nothing comes between the last look and the decision in this one event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from attrs import asdict, evolve

from skyrig.cluster.autostop import NOTE, AutostopNote
from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.launch import at_boot
from skyrig.launch.keeper import idle, parting
from skyrig.launch.keeper.archive import Archive
from skyrig.launch.keeper.fence import Fence
from skyrig.launch.keeper.idle import Seen, Setting, Terminals, Verdict
from skyrig.launch.keeper.lifetime import Lifetime
from skyrig.launch.keeper.lookout import Lookout, Running
from skyrig.launch.keeper.table import JobTable

HOLD_S = 600.0
"""How long a client that does not submit keeps the cluster from being idle, in seconds."""

FACT = "autostop"

_AFTER_FAILURE_S = 5.0


class House(Protocol):
    """What is needed of the keeper."""

    home: Path
    log: logging.Logger
    table: JobTable
    archive: Archive
    pool: Pool
    following: set[object]
    lookout: Lookout

    @property
    def flows(self) -> Mapping[int, Running]:
        """The jobs that have had their turn, by their numbers."""

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def busy(self) -> bool:
        """Whether a job has not ended, or its end is being written down."""

    async def cancel(self, job_ids: Sequence[int] | None, reason: str = "cancelled") -> list[int]:
        """End jobs, all with None."""

    async def settle(self) -> None:
        """Bring records and logs to the records folder."""

    async def flush(self, say: Callable[[str], None]) -> list[str]:
        """Wait until what was written on nodes is in its buckets; what is not, in words."""


class Caretaker:
    """One per keeper. `leaving` is why the cluster is about to stop or end itself, "" while it is not."""

    def __init__(self, house: House) -> None:
        self.setting: Setting | None = None
        self.leaving = ""
        self._house = house
        self._holds: dict[object, float] = {}
        self._changed = asyncio.Event()
        self._since = time.monotonic()
        self._busy = self._used = False
        self._life = _life()
        self._down = False
        self.lifetime = Lifetime(house, self._life)
        self.fence = Fence(house, self._life)
        self._go_on(house.table.fact(FACT))

    def set(self, data: Any) -> AutostopNote:
        """Set autostop from plain data, or with None cancel it; time counts from now. BadInput where that makes no
        sense or the nodes cannot do it; SkyrigError where the cluster is leaving already."""
        self.admit()
        wanted = idle.setting(data) if data is not None else None
        if wanted is not None:
            parting.command(self._house.cluster, down=wanted.down)
        self.setting, self._since, self._busy, self._used = wanted, time.monotonic(), False, False
        return self._noted()

    def set_ttl(self, data: Any) -> AutostopNote:
        """Set the time to live from plain data, or with None lift it. BadInput where that makes no sense or the nodes
        can neither end nor stop themselves; SkyrigError where the cluster is leaving already."""
        self.admit()
        if data is not None:
            parting.command(self._house.cluster, down=self._can_end)
        self.lifetime.set(data)
        return self._noted()

    def set_lease(self, data: Any) -> None:
        """Renew a controller's lease from plain data, or with None end it. BadInput where that makes no sense or the
        nodes can neither end nor stop themselves; SkyrigError where the cluster is leaving already."""
        self.admit()
        if data is not None:
            parting.command(self._house.cluster, down=self._can_end)
        if self.fence.renew(data):
            self._noted()

    @property
    def _can_end(self) -> bool:
        """Whether the nodes can end themselves for good: else they stop when their time is over."""
        return bool(self._house.cluster.power.end_itself)

    def _noted(self) -> AutostopNote:
        """Write down what was set now."""
        minded = any(each is not None for each in (self.setting, self.lifetime.setting, self.fence.setting))
        with suppress(OSError):  # a full disk: only a boot that no client has asked for goes without
            at_boot.want(self._house.home) if minded else at_boot.release(self._house.home)
        self._write()
        self.poke()
        return self._note()

    def admit(self) -> None:
        """SkyrigError if the cluster is leaving: nothing new may begin."""
        if self.leaving:
            name = self._house.cluster.name
            raise SkyrigError(
                f"cluster {name} is switching itself off ({self.leaving})",
                hint="run the same command again in a moment, which brings it back",
            )

    def hold(self, who: object) -> None:
        """Take the cluster as used until `who` lets go, for HOLD_S at most."""
        self.admit()
        self._holds[who] = time.monotonic() + HOLD_S
        self.poke()

    def release(self, who: object) -> None:
        """End the hold of `who`, if it has one."""
        if self._holds.pop(who, None) is not None:
            self.poke()

    def poke(self) -> None:
        """Something changed that may matter: judge anew."""
        self._changed.set()

    async def run(self) -> None:
        """Without end: judge, wait; and once the time has come, leave."""
        while not self.leaving:
            self._changed.clear()
            try:
                pause = self._lived()
                if not self.leaving:
                    pauses = (pause, await self._judged())
                    pause = min((each for each in pauses if each is not None), default=None)
            except Exception:  # a defect here must not end the keeper, and with it what it does for jobs
                self._house.log.exception("autostop")
                pause = _AFTER_FAILURE_S
            if not self.leaving:
                with suppress(asyncio.TimeoutError):
                    async with timeout(pause):
                        await self._changed.wait()
        await self._leave()

    # -- counting

    def _lived(self) -> float | None:
        """Begin to leave where the time to live is over, or a controller's lease; in how many seconds to look again."""
        pauses = (self.lifetime.look(), self.fence.look())
        for limit in (self.lifetime, self.fence):
            if limit.is_over and limit.setting is not None:
                self.leaving, self._down = limit.setting.reason, self._can_end
                self._write()
                if limit is self.fence:
                    self.fence.seal()
                return None
        return min((each for each in pauses if each is not None), default=None)

    async def _judged(self) -> float | None:
        """Judge, and begin to leave where it is time to; in how many seconds to do so again (None: when poked)."""
        if self.setting is None:
            return None
        verdict = self._verdict(self.setting, None)
        if verdict.look:
            terminals = await parting.terminals(self._house.pool, self._house.cluster)
            if self.setting is None:
                return None
            verdict = self._verdict(self.setting, terminals)
        self._keep(verdict)
        if verdict.act:
            self.leaving, self._down = self.setting.reason, self.setting.down
            self._write()
        return verdict.again_s

    def _verdict(self, asked: Setting, terminals: Terminals | None) -> Verdict:
        now = time.monotonic()
        hold = max(self._holds.values(), default=now) - now
        seen = Seen(self._house.busy, hold, terminals, exact=self._house.cluster.cloud == "local")
        return idle.judge(asked, seen, self._since, now, used=self._used)

    def _keep(self, verdict: Verdict) -> None:
        """Remember what was judged; written where a keeper after this one would not find the same."""
        changed = verdict.busy != self._busy or (not verdict.busy and verdict.since != self._since)
        self._since, self._busy, self._used = verdict.since, verdict.busy, verdict.used
        if changed:
            self._write()

    # -- what outlives this process

    def _go_on(self, kept: dict[str, Any] | None) -> None:
        """Take over from an earlier keeper; on a machine that was started anew time counts from now."""
        if not kept or kept["setting"] is None:
            return
        try:
            self.setting = idle.setting(kept["setting"])
        except BadInput as error:  # of a later version than this one, which must not die of it
            self._house.log.warning("%s", error)
            return
        if kept["life"] != self._life:
            self._since = idle.after_start(self.setting, self._since)
            self._write()
        else:
            self.leaving, self._down = kept["leaving"], kept.get("leaving_down", self.setting.down)
            self._since = self._since if kept["busy"] else min(self._since, kept["since"])

    def _write(self) -> None:
        setting = asdict(self.setting) if self.setting is not None else None
        kept = {"setting": setting, "life": self._life, "since": self._since, "busy": self._busy}
        self._house.table.set_fact(FACT, {**kept, "leaving": self.leaving, "leaving_down": self._down})
        self._house.archive.keep(NOTE, json.dumps(self._note().to_json()))

    def _note(self, acted_at: float = 0.0) -> AutostopNote:
        ttl = self.lifetime.setting
        return AutostopNote(
            head=self._house.cluster.head.incarnation,
            **(asdict(self.setting) if self.setting is not None else {}),
            ends_at=ttl.ends_at if ttl is not None else 0.0,
            ends_down=self._can_end,
            busy=self._busy,
            active_at=time.time() - time.monotonic() + self._since,
            acted_at=acted_at,
            reason=self.leaving,
        )

    async def _leave(self) -> None:
        """Write everything down, then have all nodes stop or end themselves, this one last."""
        house = self._house
        note = evolve(self._note(acted_at=time.time()), down=self._down)
        leave = parting.Parting(house, self.leaving, down=self._down, note=note)
        while True:
            try:
                await leave.run()
            except Exception:  # a machine that is paid for must not stay up for a defect of ours
                house.log.exception("autostop")
            await asyncio.sleep(_AFTER_FAILURE_S)


def _life() -> str:
    """What tells this run of this machine from any other: the kernel's, and that of its first process or (on a local
    node) of the node's server."""
    server = os.environ.get("SKYRIG_NODE_SERVER", "1")
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        began = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        boot, began = "", ""  # no Linux: the number of the node's server has to do
    return f"{boot} {server} {began}"
