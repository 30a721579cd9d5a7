"""Which nodes of a cluster its head reaches: what a client reaches from outside says nothing about that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from attrs import evolve

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import from_description, inside

_TRY_S = 3.0
"""How long a node may take to let its head in."""


def reached(cluster: ClusterDescription, node_ids: Sequence[str]) -> frozenset[str]:
    """Those of the nodes that let somebody in who comes from the head; none where the head itself does not."""
    return frozenset(asyncio.run(_reached(cluster, node_ids)))


async def _reached(cluster: ClusterDescription, node_ids: Sequence[str]) -> list[str]:
    found = await asyncio.gather(*(_lets_in(cluster, node_id) for node_id in node_ids))
    return [node_id for node_id, is_reached in zip(node_ids, found, strict=True) if is_reached]


async def _lets_in(cluster: ClusterDescription, node_id: str) -> bool:
    target = evolve(inside(cluster.node(node_id)), jump=from_description(cluster, cluster.head.id))
    try:
        connection = await connect(target, Credentials(cluster.ssh.private_key), deadline_s=_TRY_S)
    except (SkyrigError, asyncssh.Error, OSError, EOFError):
        return False
    connection.close()
    return True
