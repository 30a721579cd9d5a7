"""What a service's steward says, as it says it: one SSH line to each head, held for as long as it holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.fleet.ssh import asyncssh
from skyrig.serve.client.link import steward
from skyrig.serve.state import Snapshot

_TRY_S = 8.0
"""How long one try to reach a head may take."""

_SILENT_S = 20.0
"""A steward says something every 5 s; after this long without a word its line counts as broken."""

_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)


class Listener:
    """Listens to the steward on the head of a cluster until it is closed. `snapshot` is what it said last, None while
    it cannot be heard, for `reason`, or is `bare`: it knows of no service. `heard` is called whenever that changes."""

    def __init__(self, cluster: ClusterDescription, heard: Callable[[], None]) -> None:
        self.cluster = cluster
        self.snapshot: Snapshot | None = None
        self.bare = False
        self.reason = "its head is being reached"
        self._silent_since = time.monotonic()
        self._heard = heard
        self._task = asyncio.create_task(self._listen())

    @property
    def away_s(self) -> float:
        """For how long nothing can be heard by now, in seconds; 0 while something is."""
        return 0.0 if self.snapshot is not None or self.bare else time.monotonic() - self._silent_since

    async def close(self) -> None:
        """Listen no more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _listen(self) -> None:
        tries = 0
        while True:
            try:
                async with steward(self.cluster, patience_s=_TRY_S) as link:
                    said = link.watch(capacity=True)
                    while True:
                        self.snapshot = await asyncio.wait_for(said.__anext__(), _SILENT_S)
                        self.bare, tries = self.snapshot is None, 0
                        self._heard()
            except SkyrigError as error:
                self._lost(error.message)
            except asyncio.TimeoutError:
                self._lost("its steward says nothing any more")
            except (StopAsyncIteration, asyncssh.Error, OSError, EOFError) as error:
                self._lost(str(error) or "its steward went away")
            await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1

    def _lost(self, reason: str) -> None:
        """Nothing is heard, for `reason`."""
        was_heard = self.snapshot is not None or self.bare
        news = was_heard or reason != self.reason
        if was_heard:
            self.snapshot, self.bare, self._silent_since = None, False, time.monotonic()
        self.reason = reason
        if news:
            self._heard()
