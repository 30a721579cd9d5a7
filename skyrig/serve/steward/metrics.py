"""The steward's own metrics in Prometheus's text form, as a pure function of a snapshot."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from skyrig.serve.state import ReplicaStatus, ServiceStatus, Snapshot

_Row = tuple[dict[str, str], float]


def text(told: Snapshot) -> str:
    """All of them, for the service that `told` tells of."""
    counts = {status: sum(each.status is status for each in told.replicas) for status in ReplicaStatus}
    load, gauge = told.load, functools.partial(_gauge, told.name)
    parts = [
        gauge("replicas", "Replicas by status.", [({"status": s.value}, n) for s, n in counts.items()]),
        gauge("replicas_wanted", "Replicas that there shall be.", [({}, told.wanted.replicas)]),
        gauge("nodes_wanted", "Nodes that there shall be, the head with them.", [({}, told.wanted.nodes)]),
        gauge("version", "Version that shall be.", [({}, told.version)]),
        gauge("serving_version", "Newest version that is served; 0: none.", [({}, told.serving)]),
        gauge("status", "1 for the status that the service has.", _one_hot(told.status)),
        gauge("requests_per_second", "Requests a second over the scaling window.", [({}, load.qps)]),
        gauge("requests_in_flight", "Requests in flight.", [({}, load.in_flight)]),
        gauge("latency_seconds", "Time until answers were complete.", _known({"0.5": load.p50_s, "0.99": load.p99_s})),
        gauge("tokens_per_second", "Tokens that engines generate a second.", _known({"": load.tokens_per_s})),
        gauge(
            "replica_requests_in_flight",
            "Requests in flight by replica.",
            [({"replica": str(each.id)}, each.load.in_flight) for each in told.replicas if not each.status.ended],
        ),
    ]
    return "".join(parts)


def _known(values: Mapping[str, float | None]) -> list[_Row]:
    """Rows of those that are known, by quantile ("": of no quantile)."""
    return [({"quantile": each} if each else {}, value) for each, value in values.items() if value is not None]


def _one_hot(status: ServiceStatus) -> list[_Row]:
    return [({"status": each.value}, float(each is status)) for each in ServiceStatus]


def _gauge(service: str, name: str, about: str, rows: Iterable[_Row]) -> str:
    lines = [f"# HELP skyrig_serve_{name} {about}", f"# TYPE skyrig_serve_{name} gauge"]
    for labels, value in rows:
        named = "".join(f',{label}="{_quoted(text)}"' for label, text in labels.items())
        lines.append(f'skyrig_serve_{name}{{service="{_quoted(service)}"{named}}} {value:g}')
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
