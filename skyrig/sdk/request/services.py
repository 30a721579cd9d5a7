"""What requests about services do, as `work` has it for the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from skyrig.sdk.answers import ReplicaRecord, ServiceRecord

if TYPE_CHECKING:
    from skyrig.serve.client.seen import Seen
    from skyrig.task.model import Task

Notify = Callable[[str], None]


def up(notify: Notify, *, task: Task, told: Sequence[str], service_name: str) -> tuple[str, str]:
    """Bring a service up, without waiting for its replicas."""
    from skyrig import renting, serving

    for line in told:
        notify(line)
    found = serving.up(task, service_name, serving.Options(detach=True), notify, renting.pays)
    return found.name, found.endpoint


def update(notify: Notify, *, task: Task, told: Sequence[str], service_name: str, mode: str) -> None:
    """Change a service, without waiting for its replicas."""
    from skyrig import renting, serving
    from skyrig.serve.client.asked import Said

    for line in told:
        notify(line)
    options = serving.Options(Said(update=mode), detach=True)
    serving.update(task, service_name, options, notify, renting.pays)


def status(notify: Notify, *, service_names: Sequence[str] | None) -> list[ServiceRecord]:
    """Services that are there, those of the names or patterns."""
    from fnmatch import fnmatchcase

    from skyrig import serving

    patterns = ["*"] if service_names is None else service_names
    return [_record(each) for each in serving.status() if any(fnmatchcase(each.name, one) for one in patterns)]


def down(notify: Notify, *, service_names: Sequence[str] | None, purge: bool) -> None:
    """Take services away."""
    from skyrig import serving

    serving.down(service_names, notify, lambda question: True, purge=purge)


def terminate_replica(notify: Notify, *, service_name: str, replica_id: int) -> None:
    """Take one replica away."""
    from skyrig import serving

    serving.terminate_replica(service_name, replica_id, notify, lambda question: True)


def _record(seen: Seen) -> ServiceRecord:
    now, snapshot = time.time(), seen.snapshot
    return ServiceRecord(
        name=seen.name,
        status=seen.status,
        endpoint=seen.endpoint or None,
        version=snapshot.version if snapshot is not None else None,
        active_versions=tuple(sorted({each.version for each in seen.replicas if not each.ended_at})),
        uptime=int(now - seen.up_since) if seen.up_since else None,
        cluster_name=seen.stack,
        tls_encrypted=seen.scheme == "https",
        replica_info=tuple(
            ReplicaRecord(
                replica_id=each.id,
                status=each.status,
                version=each.version,
                endpoint=each.address or None,
                launched_at=int(each.created_at) or None,
                nodes=each.nodes,
                reason=each.reason,
            )
            for each in seen.replicas
        ),
    )
