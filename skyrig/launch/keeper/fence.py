"""The lease of a controller on its cluster: nodes that cost money end themselves when the controller that watches over
them has not been heard of for too long.

Its end is a moment of the head's clock, kept in the table. When it has come, jobs are told and have SAVE_S seconds to
save; a controller that is heard of meanwhile takes it back. That time counts from when it was noticed: where clocks
have jumped, as over the sleep of a laptop that controller and nodes share, both have it to find each other again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import asdict, evolve, frozen

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput
from skyrig.launch.keeper.lookout import Lookout, Running
from skyrig.launch.keeper.notices import LEASE
from skyrig.launch.keeper.table import JobTable

FACT = "fence"

SAVE_S = 30.0
"""How long jobs have to save, in seconds."""

GRACE_S = 300.0
"""How long a machine that was started anew after the end of the lease stays up at least: who starts it wants it."""

_LOOK_S = 60.0
"""How often the clock is looked at: it may have been set."""

_LOOK_OVER_S = 0.5
"""The same once the lease is over: jobs may end sooner than they must."""


class House(Protocol):
    """What is needed of the keeper."""

    table: JobTable
    lookout: Lookout

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def busy(self) -> bool:
        """Whether a job has not ended, or its end is being written down."""

    @property
    def flows(self) -> Mapping[int, Running]:
        """The jobs that have had their turn, by their numbers."""


@frozen
class Setting:
    """`said` as it was asked for (1 h), and when it is over in seconds since the epoch."""

    said: str
    ends_at: float

    @property
    def reason(self) -> str:
        """What is said of a cluster that has ended by it."""
        return f"no controller was heard of for {self.said}"


class Fence:
    """One per keeper. `setting` is None where no controller has a lease; `life` tells this run of this machine from any
    other."""

    def __init__(self, house: House, life: str) -> None:
        self._house = house
        self._life = life
        self._told_at: float | None = None
        self.setting = self._kept(house.table.fact(FACT))

    def renew(self, data: Any) -> bool:
        """Let the lease run for `left_s` seconds from now, asked for as `said`; None ends it without consequences.
        Whether the cluster is to be looked at anew. BadInput where that makes no sense."""
        try:
            wanted = None if data is None else Setting(str(data["said"]), time.time() + float(data["left_s"]))
        except (TypeError, ValueError, KeyError) as error:
            raise BadInput(f"controller's lease: {data!r} is none") from error
        before, self.setting = self.setting, wanted
        self._write()
        if self._told_at is not None:
            self._told_at = None
            self._house.lookout.notices.withdraw(LEASE)
            return True
        return before is None or wanted is None or wanted.ends_at < before.ends_at

    @property
    def is_over(self) -> bool:
        """Whether the cluster is to end now: its jobs have had their time, or there are none."""
        if self.setting is None or self._told_at is None:
            return False
        return not self._house.busy or time.monotonic() >= self._told_at + SAVE_S

    def seal(self) -> None:
        """The cluster is ending: a keeper after this one goes on with that."""
        self._told_at = float("-inf")
        self._write()

    def look(self) -> float | None:
        """Tell jobs where the lease is over; in how many seconds to look again (None: when something changes)."""
        if self.setting is None:
            return None
        left = self.setting.ends_at - time.time()
        if left > 0 and self._told_at is None:
            return min(_LOOK_S, left)
        if self._told_at is None:
            self._told_at = time.monotonic()
        self._tell(self.setting)  # again and again: jobs of an earlier keeper may only just be adopted
        return _LOOK_OVER_S

    def _tell(self, setting: Setting) -> None:
        """Have the ranks of all jobs hear of the end, as of any other loss of their machine."""
        house = self._house
        heads = {next(iter(running.plan.shares), "") for running in house.flows.values()}
        source = f"controller's lease of {setting.said}"
        said = {"id": f"lease {setting.ends_at:.3f}", "kind": LEASE, "source": source, "left_s": SAVE_S}
        for node in house.cluster.nodes:
            if node.id in heads and (notice := house.lookout.notices.add(node, said)) is not None:
                for running in house.flows.values():
                    running.audience.hear(notice)

    def _kept(self, kept: dict[str, Any] | None) -> Setting | None:
        """What an earlier keeper wrote down; on a machine that was started anew with some time for its controller."""
        if not kept or kept["setting"] is None:
            return None
        setting = Setting(**kept["setting"])
        if kept["life"] == self._life:
            self._told_at = float("-inf") if kept["over"] else None
            return setting
        setting = evolve(setting, ends_at=max(setting.ends_at, time.time() + GRACE_S))
        self._write(setting)
        return setting

    def _write(self, setting: Setting | None = None) -> None:
        setting = setting or self.setting
        over = self._told_at == float("-inf")
        kept = {"setting": asdict(setting) if setting is not None else None, "life": self._life, "over": over}
        self._house.table.set_fact(FACT, kept)
