"""Watching a service for as long as somebody looks, and what several tell in Prometheus's form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.serve.client import looking
from skyrig.serve.client.link import steward
from skyrig.serve.metrics.exposition import Part, merged
from skyrig.serve.state import Snapshot

Current = Callable[[], ClusterDescription | None]
"""Tells what a service's cluster is now: its nodes may be replaced while it is watched."""


async def snapshots(current: Current) -> AsyncIterator[Snapshot]:
    """The service on a cluster: now, and at each change. SkyrigError where nothing comes any more."""
    desc = await asyncio.to_thread(current)
    if desc is None:
        raise SkyrigError("its cluster is not up")
    async with steward(desc) as link:
        async for told in link.watch():
            if told is None:
                raise SkyrigError("its cluster has not been told of it yet")
            yield told


async def metrics(clusters: Mapping[str, ClusterDescription | None], controller: Callable[[], str | None]) -> str:
    """Metrics of services, by name, and of the controller (None: it is away), one text. What cannot be reached is told
    by `skyrig_serve_up` and `skyrig_control_up`, and tells nothing else."""
    told = await asyncio.gather(asyncio.to_thread(controller), *(_metrics(desc) for desc in clusters.values()))
    up = "".join(
        f'skyrig_serve_up{{service="{name}"}} {int(text is not None)}\n'
        for name, text in zip(clusters, told[1:], strict=True)
    )
    own = (
        "# HELP skyrig_serve_up Whether the steward of a service answers.\n# TYPE skyrig_serve_up gauge\n"
        f"{up}# HELP skyrig_control_up Whether the controller answers.\n# TYPE skyrig_control_up gauge\n"
        f"skyrig_control_up {int(told[0] is not None)}\n"
    )
    return await asyncio.to_thread(merged, [Part(own), *(Part(text) for text in told if text is not None)])


async def _metrics(desc: ClusterDescription | None) -> str | None:
    try:
        return await looking.metrics(desc) if desc is not None else None
    except SkyrigError:
        return None
