"""How many replicas a load wants, as SkyPilot counts it: the load over a window by what one replica shall have, and a
change once it has been due for its delay without a break."""

from __future__ import annotations

import math

from skyrig.serve.spec import Scaling
from skyrig.serve.steward.memory import Scale

MARGIN = 0.1
"""By how much of itself the load must be too small before a replica is too many: a load that lies at the threshold and
trembles wants the larger number, and keeps it."""

_ROUNDING = 1e-9


def need(qps: float, busy: float, scaling: Scaling) -> float | None:
    """`qps` requests a second, and `busy` in flight in the mean, as replicas with their target each; None where the
    number of replicas does not follow the load."""
    if scaling.is_fixed:
        return None
    wanted = [load / target for load, target in ((qps, scaling.target_qps), (busy, scaling.target_in_flight)) if target]
    return max(wanted, default=None)


def scaled(scale: Scale, scaling: Scaling, load: float | None, now: float) -> Scale:
    """The number of replicas at `now`, where the load is `load` replicas' worth (None: it cannot be told)."""
    number = min(max(scale.number, scaling.least), scaling.most)
    if load is None:
        return Scale(number, scale.up_since, scale.down_since) if number == scale.number else Scale(number)
    up = min(max(math.ceil(load - _ROUNDING), scaling.least), scaling.most)
    down = min(max(math.ceil(load * (1 + MARGIN) - _ROUNDING), scaling.least), scaling.most)
    if up > number:
        since = scale.up_since or now
        waited = now - since >= scaling.upscale_delay_s or number == 0  # who asks a service that sleeps waits already
        return Scale(up) if waited else Scale(number, up_since=since)
    if down < number:
        since = scale.down_since or now
        return Scale(down) if now - since >= scaling.downscale_delay_s else Scale(number, down_since=since)
    return Scale(number)
