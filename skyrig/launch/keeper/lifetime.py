"""The time to live of a cluster: when it ends, whatever runs, and what jobs and nodes are told before.

The end is a moment of the clock, kept in the table: a keeper after this one, and a head that was started anew, mean the
same one. Every node of a cloud keeps it in a file too, for what it does where no keeper ends it (templates/cloud-init).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import asdict, evolve, frozen

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import inside
from skyrig.launch.keeper.lookout import Lookout, Running
from skyrig.launch.keeper.table import JobTable

FACT = "ttl"

MARKS_S = (600.0, 60.0)
"""How long before the end jobs are told of it."""

GRACE_S = 300.0
"""How long a machine that was started anew after its end stays up at least: who starts it wants it."""

_LOOK_S = 60.0
"""How often the clock is looked at: it may have been set."""

_SAME_S = 2.0
"""Two ends that are so near are the same one: each client says again how long that is from now."""

_TELL_S = 20.0
"""How long a node may take to write its end down."""

_WRITE = "mkdir -p ~/.skyrig && echo {} > ~/.skyrig/ttl.part && mv ~/.skyrig/ttl.part ~/.skyrig/ttl"


class House(Protocol):
    """What is needed of the keeper."""

    log: logging.Logger
    table: JobTable
    pool: Pool
    lookout: Lookout

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def flows(self) -> Mapping[int, Running]:
        """The jobs that have had their turn, by their numbers."""


@frozen
class Setting:
    """`said` as it was asked for (8h), and when it is over in seconds since the epoch."""

    said: str
    ends_at: float

    def is_as_good_as(self, other: Setting) -> bool:
        """Whether it is the same but for the time that it took to say it."""
        return self.said == other.said and abs(self.ends_at - other.ends_at) < _SAME_S

    @property
    def reason(self) -> str:
        """What is said of a cluster that has ended by it."""
        return f"its time to live of {self.said} is over"


class Lifetime:
    """One per keeper. `setting` is None while the cluster lives without end; `life` tells this run of this machine from
    any other."""

    def __init__(self, house: House, life: str) -> None:
        self._house = house
        self._life = life
        self._told: set[str] = set()
        self._telling: asyncio.Task[None] | None = None
        self.setting = self._kept(house.table.fact(FACT))

    def set(self, data: Any) -> None:
        """Take `left_s` (from now) and `said`, or with None live without end. BadInput where that makes no sense."""
        try:
            wanted = None if data is None else Setting(str(data["said"]), time.time() + float(data["left_s"]))
        except (TypeError, ValueError, KeyError) as error:
            raise BadInput(f"time to live: {data!r} is none") from error
        if wanted is not None and self.setting is not None and wanted.is_as_good_as(self.setting):
            return
        self.setting = wanted
        self._told.clear()
        self._write()

    @property
    def is_over(self) -> bool:
        """Whether the cluster is to end now."""
        return self.setting is not None and time.time() >= self.setting.ends_at

    def look(self) -> float | None:
        """Tell jobs and nodes what is due; in how many seconds to look again (None: when something changes)."""
        waiting = self._untold()
        if waiting and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell_nodes())
        if self.setting is None:
            return _LOOK_S if waiting else None
        left = self.setting.ends_at - time.time()
        due = [mark for mark in MARKS_S if left <= mark]
        if due:
            self._tell_jobs(self.setting, min(due), left)
        ahead = [left - mark for mark in (*MARKS_S, 0.0) if left > mark]
        return min([_LOOK_S, *ahead])

    def _tell_jobs(self, setting: Setting, mark: float, left: float) -> None:
        """Have the ranks of all jobs hear of the end, as of any other loss of their machine; each job once a mark."""
        house = self._house
        heads = {next(iter(running.plan.shares), "") for running in house.flows.values()}
        notice_id = f"ttl {setting.ends_at:.0f} {mark:.0f}"
        said = {"id": notice_id, "kind": "ttl", "source": f"ttl {setting.said}", "left_s": max(0.0, left)}
        for node in house.cluster.nodes:
            if node.id in heads and (notice := house.lookout.notices.add(node, said)) is not None:
                for running in house.flows.values():
                    running.audience.hear(notice)

    @property
    def _end(self) -> str:
        """What nodes write down."""
        return "none" if self.setting is None else f"{self.setting.ends_at:.0f}"

    def _untold(self) -> list[Node]:
        """Nodes of a cloud that have not written down yet when they end."""
        if self._house.table.fact(FACT) is None or self._house.cluster.isolation != "machine":
            return []
        return [node for node in self._house.cluster.nodes if f"{node.life} {self._end}" not in self._told]

    async def _tell_nodes(self) -> None:
        """Have them write it down, also what was set meanwhile; those that could not are asked at the next look."""
        while waiting := self._untold():
            end = self._end
            done = await asyncio.gather(*(self._wrote(node, end) for node in waiting))
            self._told |= {f"{node.life} {end}" for node, well in zip(waiting, done, strict=True) if well}
            if not all(done):
                return

    async def _wrote(self, node: Node, end: str) -> bool:
        try:
            async with timeout(_TELL_S):
                done = await fanout.run(self._house.pool, inside(node), _WRITE.format(end))
        except (SkyrigError, asyncio.TimeoutError) as error:
            self._house.log.warning("ttl: %s does not know its end: %s", node.id, error)
            return False
        return done.code == 0

    def _kept(self, kept: dict[str, Any] | None) -> Setting | None:
        """What an earlier keeper wrote down; on a machine that was started anew after its end with some time to use."""
        if not kept or kept["setting"] is None:
            return None
        setting = Setting(**kept["setting"])
        if kept["life"] == self._life:
            return setting
        setting = evolve(setting, ends_at=max(setting.ends_at, time.time() + GRACE_S))
        self._write(setting)
        return setting

    def _write(self, setting: Setting | None = None) -> None:
        setting = setting or self.setting
        kept = {"setting": asdict(setting) if setting is not None else None, "life": self._life}
        self._house.table.set_fact(FACT, kept)
