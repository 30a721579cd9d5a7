"""What the head of a cluster must know of what was asked for: told after a deployment, or when it may not know yet."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from skyrig import schedulers
from skyrig.cluster.autostop import Autostop, AutostopNote
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import said_left
from skyrig.errors import SkyrigError
from skyrig.stack import autostopped, config

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_SAME_END_S = 2.0
"""Two ends of a time to live that are so near are the same one: two clocks have counted it."""


def keep_autostop(cluster: ClusterDescription, note: AutostopNote, notify: Notify) -> None:
    """Autostop was set before the cluster changed: its head must know all nodes that it is to switch off, and a head
    that was made anew must be told of it."""
    wanted = Autostop(math.ceil((note.idle_s or 0) / 60), note.down, note.wait_for)
    same = cluster.head.incarnation == note.head
    try:
        asyncio.run(
            schedulers.client(cluster).acquaint(cluster)
            if same
            else schedulers.client(cluster).autostop(cluster, wanted)
        )
    except SkyrigError as error:
        notify(f"autostop may not be set any more: {error.message}")


def keep_ttl(stack: str, cluster: ClusterDescription, notify: Notify) -> None:
    """Have the cluster's head know when its time to live is over as the stack's config says, where it does not yet."""
    wanted, note = config.read_shape(stack).policy.ttl, autostopped.note(cluster)
    known = note.ends_at if note is not None else 0.0
    if abs((wanted.ends_at if wanted is not None else 0.0) - known) < _SAME_END_S:
        return
    try:
        asyncio.run(schedulers.client(cluster).ttl(cluster, wanted))
    except SkyrigError as error:
        then = "its nodes mind it by themselves, and the next job tells it" if wanted is not None else "set it again"
        notify(f"the head of {stack} does not know yet when it ends: {error.message}; {then}")
        return
    if wanted is None:
        notify(f"{stack} lives without end")
    else:
        notify(f"{stack} ends itself in {said_left(wanted.ends_at - time.time())}, whatever runs")
