"""What the keeper of a managed job's cluster says of its newest attempt, as it says it: one SSH line to each head, held
for as long as it holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.fleet.ssh import asyncssh
from skyrig.launch.sight import Sight
from skyrig.launch.watching import Watch, watching

_TRY_S = 8.0
"""How long one try to reach a head may take."""

_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)


class Listener:
    """Listens to the keeper on the head of a cluster until it is closed. `sight` is what it said last of the job with
    `key`, None while it cannot be heard, for `reason`. `heard` is called whenever that changes. While it is heard, the
    controller's lease on the cluster is `lease_s` seconds long (0: it has none)."""

    def __init__(self, cluster: ClusterDescription, key: str, heard: Callable[[], None], lease_s: float = 0.0) -> None:
        self.cluster = cluster
        self.key = key
        self._lease_s = lease_s
        self.sight: Sight | None = None
        self.changed_at = 0.0
        self.reason = "its head is being reached"
        self._silent_since = time.monotonic()
        self._heard = heard
        self._task = asyncio.create_task(self._listen())

    @property
    def away_s(self) -> float:
        """For how long nothing can be heard by now, in seconds; 0 while something is."""
        return 0.0 if self.sight is not None else time.monotonic() - self._silent_since

    async def close(self) -> None:
        """Listen no more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _listen(self) -> None:
        tries = 0
        while True:
            try:
                async with watching(self.cluster, self.key, patience_s=_TRY_S) as watch:
                    leased = asyncio.create_task(self._leased(watch))
                    try:
                        async for sight in watch.sights():
                            self._take(sight)
                            tries = 0
                    finally:
                        leased.cancel()
                        await asyncio.wait({leased})
            except SkyrigError as error:
                self._lost(error.message)
            except (asyncssh.Error, OSError, EOFError) as error:
                self._lost(str(error) or "its keeper went away")
            await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1

    async def _leased(self, watch: Watch) -> None:
        """Renew the lease on the cluster for as long as the line holds. What breaks it is told to who listens."""
        if not self._lease_s:
            return
        with suppress(SkyrigError):
            while True:
                await watch.lease(self._lease_s, spoken(self._lease_s))
                await asyncio.sleep(self._lease_s / 4)

    def _take(self, sight: Sight) -> None:
        before, self.sight = self.sight, sight
        if before is None or (before.record, set(before.silent), set(before.leaving)) != (
            sight.record,
            set(sight.silent),
            set(sight.leaving),
        ):
            self.changed_at = time.monotonic()
            self._heard()

    def _lost(self, reason: str) -> None:
        """Nothing is heard, for `reason`."""
        was_heard = self.sight is not None
        if was_heard:
            self.sight, self._silent_since = None, time.monotonic()
        self.reason = reason
        if was_heard:
            self.changed_at = time.monotonic()
            self._heard()


def spoken(seconds: float) -> str:
    """So many seconds in words: 1 h, 90 s."""
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds >= length and not seconds % length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:g} s"
