"""Which nodes of a cluster are one Job. Pure functions.

A node is a Job of its own, so that nodes come, go and are made anew one by one. Where a queue of Kueue admits them, all
of a group's version are one Job, which is admitted whole or not at all, and is not resized.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class WantedNode(NamedTuple):
    """One wanted node."""

    id: str
    group: str
    version: int


class Gang(NamedTuple):
    """The nodes of one Job in the order of their completion indexes, and the name that it has within the cluster."""

    name: str
    nodes: tuple[str, ...]


def gangs(nodes: Sequence[WantedNode], queue: str) -> list[Gang]:
    """The Jobs that `nodes` are, with the local queue of Kueue that admits them ("": none does)."""
    if not queue:
        return [Gang(f"{node.id}-v{node.version}", (node.id,)) for node in nodes]
    found: dict[tuple[str, int], list[str]] = {}
    for node in nodes:
        found.setdefault((node.group, node.version), []).append(node.id)
    return [Gang(f"gang-{group}-v{version}", tuple(ids)) for (group, version), ids in found.items()]
