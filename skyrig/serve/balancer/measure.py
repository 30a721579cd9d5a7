"""What went through the balancer: sums of HAProxy's counters over restarts of it, and rates over a window."""

from __future__ import annotations

from attrs import field, frozen

from skyrig.serve.state import Load


@frozen
class Measured:
    """What was asked for over the window: in `total`, and of each of the `servers` by name. `busy` is the mean number
    of requests in flight over the window. It and `total.in_flight` include requests that wait for a server."""

    total: Load = field(factory=Load)
    servers: dict[str, Load] = field(factory=dict)
    busy: float = 0.0
