"""Which nodes of a cluster are cordoned, out of the note in its records folder: no SSH, and no engine."""

from __future__ import annotations

from skyrig import places
from skyrig.cluster import cordons
from skyrig.cluster.cordons import Cordon
from skyrig.cluster.description import ClusterDescription


def of(cluster: ClusterDescription) -> dict[str, Cordon]:
    """The cordoned nodes of this very cluster, by id in rank order."""
    try:
        note = (places.records(cluster.name) / cordons.NOTE).read_bytes()
    except OSError:
        return {}
    return cordons.of(cordons.read(note), cluster.nodes)
