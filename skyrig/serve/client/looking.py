"""Asking the stewards of several services at once what they know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.launch.link import LOOK_PATIENCE_S
from skyrig.serve.client.link import steward
from skyrig.serve.state import Snapshot

Found = Snapshot | SkyrigError
"""What a steward said, or why it said nothing."""


def snapshots(clusters: Mapping[str, ClusterDescription]) -> dict[str, Found]:
    """The snapshot of the service on each of `clusters`, by the same names."""
    return asyncio.run(_all(clusters)) if clusters else {}


async def _all(clusters: Mapping[str, ClusterDescription]) -> dict[str, Found]:
    found = await asyncio.gather(*(_one(desc) for desc in clusters.values()))
    return dict(zip(clusters, found, strict=True))


async def _one(desc: ClusterDescription) -> Found:
    try:
        async with steward(desc, patience_s=LOOK_PATIENCE_S) as link:
            return await link.snapshot() or SkyrigError(f"no service is on {desc.name}")
    except SkyrigError as error:
        return error


async def metrics(desc: ClusterDescription) -> str:
    """Prometheus text of a cluster's service."""
    async with steward(desc, patience_s=LOOK_PATIENCE_S) as link:
        return await link.metrics()


async def replace(desc: ClusterDescription, replica: int) -> None:
    """Have one replica go, for which another one comes."""
    async with steward(desc, patience_s=LOOK_PATIENCE_S) as link:
        await link.replace(replica)
