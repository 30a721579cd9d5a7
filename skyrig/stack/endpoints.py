"""Where a cluster's open ports are reached from here, as HOST:PORT, without asking engine or nodes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from skyrig import places
from skyrig.cluster import ports as port_ranges
from skyrig.cluster.description import ClusterDescription
from skyrig.fleet.local import ports

_SHOWN_APART = 64
"""A longer run of ports that keep their order is shown as one range."""


def of(cluster: ClusterDescription) -> dict[int, str]:
    """HOST:PORT of each open port that can be reached now."""
    wanted = port_ranges.numbers(cluster.ports)
    if cluster.isolation != "namespaces":
        return {port: f"{cluster.entrance or cluster.head.host}:{port}" for port in wanted}
    found = ports.endpoints(places.local_nodes(cluster.name)) if wanted else {}
    return {port: found[port] for port in wanted if port in found}


def shown(found: Mapping[int, str]) -> dict[str, str]:
    """The same for readers and `status --json`: each port by itself, but more than 64 in a row, with numbers in a row
    here too, as "9000-9999": "127.0.0.1:9000-9999"."""
    said: dict[str, str] = {}
    for run in _runs(found):
        if len(run) <= _SHOWN_APART:
            said |= {str(port): found[port] for port in run}
        else:
            said[f"{run[0]}-{run[-1]}"] = f"{found[run[0]]}-{found[run[-1]].rpartition(':')[2]}"
    return said


def _runs(found: Mapping[int, str]) -> list[list[int]]:
    """Ports in their order, cut where they, their hosts or their numbers there do not go on."""

    def step(pair: tuple[int, int]) -> tuple[int, str, int]:
        host, _, there = found[pair[1]].rpartition(":")
        return pair[1] - pair[0], host, int(there) - pair[1]

    return [[port for _, port in run] for _, run in itertools.groupby(enumerate(sorted(found)), key=step)]
