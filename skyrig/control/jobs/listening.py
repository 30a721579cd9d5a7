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
from skyrig.launch.job import CONVERTER, JobRecord
from skyrig.launch.link import keeper
from skyrig.launch.sight import Sight

_TRY_S = 8.0
"""How long one try to reach a head may take."""

_ASK_S = 1.0

_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)


class Listener:
    """Listens to the keeper on the head of a cluster until it is closed. `sight` is what it said last of the job with
    `key`, None while it cannot be heard, for `reason`. `heard` is called whenever that changes."""

    def __init__(self, cluster: ClusterDescription, key: str, heard: Callable[[], None]) -> None:
        self.cluster = cluster
        self.key = key
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
                async with keeper(self.cluster, patience_s=_TRY_S) as link:
                    while True:
                        rows = (await asyncio.wait_for(link.ask({"op": "queue"}), 20))["records"]
                        records = CONVERTER.structure(rows, list[JobRecord])
                        self._take(Sight(next((each for each in records if each.key == self.key), None)))
                        tries = 0
                        await asyncio.sleep(_ASK_S)
            except SkyrigError as error:
                self._lost(error.message)
            except asyncio.TimeoutError:
                self._lost("its keeper says nothing any more")
            except (asyncssh.Error, OSError, EOFError) as error:
                self._lost(str(error) or "its keeper went away")
            await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1

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
