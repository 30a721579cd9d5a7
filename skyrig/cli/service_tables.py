"""Services as tables on standard output."""

from __future__ import annotations

import time
from collections.abc import Sequence

from skyrig.cli.tables import table
from skyrig.serve.client.seen import Seen
from skyrig.serve.state import Load, Replica


def services(found: Sequence[Seen]) -> None:
    """Services, one a row, their replicas below, and what should be known of them."""
    now = time.time()
    rows = [_service(each, now) for each in found]
    heads = ["SERVICE", "STATUS", "VERSION", "UP", "READY", "ENDPOINT", *_LOAD]
    table(heads, rows, "no services")
    replicas = [_replica(each.name, one, now) for each in found for one in each.replicas]
    if replicas:
        print()
        heads = ["SERVICE", "REPLICA", "STATUS", "VERSION", "AGE", "NODES", "ADDRESS", "JOB", *_LOAD]
        table(heads, replicas, "")
    lines = [line for each in found for line in _remarks(each)]
    if lines:
        print("", *lines, sep="\n")


_LOAD = ("QPS", "IN FLIGHT", "P50", "P99", "TOKENS/S")


def _service(service: Seen, now: float) -> list[str]:
    ready, wanted = service.ready
    version = str(service.snapshot.serving or service.snapshot.version) if service.snapshot is not None else "-"
    up = _age(now, service.up_since)
    counts = f"{ready}/{wanted}" if service.snapshot is not None else "-"
    return [service.name, str(service.status), version, up, counts, service.endpoint or "-", *_load(service.load)]


def _replica(name: str, replica: Replica, now: float) -> list[str]:
    return [
        name,
        str(replica.id),
        str(replica.status),
        str(replica.version),
        _age(now, replica.created_at),
        ",".join(replica.nodes) or "-",
        replica.address or "-",
        str(replica.job or "-"),
        *_load(replica.load),
    ]


def _remarks(service: Seen) -> list[str]:
    """Lines below the tables."""
    lines = [f"{service.name}: {remark}" for remark in service.remarks()]
    if service.controller.remark:
        lines.append(f"{service.name}: {service.controller.remark}")
    for replica in service.replicas:
        if replica.reason:
            lines.append(f"{service.name}: replica {replica.id}: {replica.reason}")
        lines += [f"    {line}" for line in replica.last_lines if replica.status.ended]
    return lines


def _load(load: Load) -> list[str]:
    tokens = f"{load.tokens_per_s:.0f}" if load.tokens_per_s is not None else "-"
    return [f"{load.qps:.1f}", str(load.in_flight), _took(load.p50_s), _took(load.p99_s), tokens]


def _took(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _age(now: float, since: float) -> str:
    """How long ago, in its two largest units: `2 h 5 min`."""
    if not since:
        return "-"
    seconds = max(int(now - since), 0)
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours = seconds // 60 % 60, seconds // 3600 % 24
    if seconds < 3600:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if seconds < 86400 else f"{seconds // 86400} d {hours} h"
