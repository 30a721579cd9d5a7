"""The balancer as the steward has it."""

from __future__ import annotations

from pathlib import Path

from skyrig.serve.balancer.frontage import Frontage
from skyrig.serve.balancer.measure import Measured


class Balancer:
    """HAProxy with its files in `folder`. It outlives the process that started it: a new Balancer on the same folder
    finds it at work. One at a time uses a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def available(self) -> bool:
        """Whether there is a HAProxy here that is new enough."""
        raise NotImplementedError

    async def install(self) -> None:
        """Have HAProxy installed by the system's packages where it is not there. SkyrigError where that cannot be."""
        raise NotImplementedError

    async def be(self, frontage: Frontage) -> None:
        """Have HAProxy serve `frontage`, whatever was before: start it, or change it without dropping a request. A
        server that is in `frontage` no more gets nothing from now on, and requests that still run there are cut off
        (drain it first). Call it again at any time: where all is as it shall be, it costs two looks; where HAProxy was
        killed, it is started again. SkyrigError with HAProxy's own words where it refuses."""
        raise NotImplementedError

    async def in_flight(self, name: str) -> int:
        """Requests that run on the server `name` now, those of workers that a reload has replaced with them."""
        raise NotImplementedError

    async def measure(self, window_s: float = 60.0) -> Measured:
        """What went through over the last `window_s` seconds (less where it was measured first later). Call it every
        second or so: rates come from what differs between calls."""
        raise NotImplementedError

    async def metrics(self) -> str:
        """HAProxy's own metrics in Prometheus's text form; "" where HAProxy is away or was built without."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End HAProxy and remove its files. Requests that run are cut off; to drain comes before."""
        raise NotImplementedError
