"""A job that stands still: for too long no rank of it has written or given a sign of life."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from skyrig.launch.keeper.rank import Rank

_LOOK_S = 0.2
"""How soon ranks are looked at again that cannot be heard now."""


class Running(Protocol):
    """What is needed of the job's flow."""

    @property
    def silent(self) -> Mapping[str, float]:
        """The nodes of its ranks that cannot be heard."""

    @property
    def quiet_s(self) -> float:
        """For how many seconds none of its ranks has written or given a sign of life."""

    @property
    def ranks(self) -> Sequence[Rank]:
        """Those that run now."""


async def until_still(running: Running, hang_s: float) -> str:
    """Wait until a job has stood still for `hang_s` seconds; says so in words. What a keeper before this one has seen
    does not count; nodes that cannot be heard are a matter of their lease, and ranks that have failed of the others'
    end."""
    while True:
        left = hang_s - running.quiet_s
        if left <= 0 and not running.silent and not any(rank.failed for rank in running.ranks):
            return f"no output and no heartbeat for {hang_s:g} s"
        await asyncio.sleep(max(left, _LOOK_S))
