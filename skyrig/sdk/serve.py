"""Services: `sky.serve`. Each function checks what it was given, and makes a request."""

from __future__ import annotations

import sys
from enum import Enum
from typing import IO

from skyrig.cluster.shape import stack_name
from skyrig.errors import BadInput
from skyrig.sdk.answers import ServiceRecord
from skyrig.sdk.cluster_jobs import _beside, _bytes_of
from skyrig.sdk.clusters import _of
from skyrig.sdk.dag import Dag
from skyrig.sdk.request.calls import RequestId, begin
from skyrig.sdk.task import Task
from skyrig.serve.state import ReplicaStatus, ServiceStatus
from skyrig.task.frontdoor import UPDATES

__all__ = [
    "ReplicaStatus",
    "ServiceComponent",
    "ServiceStatus",
    "down",
    "status",
    "tail_logs",
    "terminate_replica",
    "up",
    "update",
]


class ServiceComponent(str, Enum):
    """Whose output is wanted."""

    __str__ = str.__str__

    CONTROLLER = "controller"
    LOAD_BALANCER = "load_balancer"
    REPLICA = "replica"


def up(task: Task | Dag, service_name: str) -> RequestId[tuple[str, str]]:
    """Bring a service up. Gives its name and its endpoint, HOST:PORT, once its cluster was told of it: `status` says
    when it is READY."""
    name = stack_name(service_name)
    return begin("serve.up", name, service_name=name, **_of(task))


def update(task: Task | Dag, service_name: str, mode: str = "rolling") -> RequestId[None]:
    """Change a service: its replicas one after the other, or with `mode` "blue_green" all at once. Ends once its
    cluster was told of it: `status` says what became of it."""
    mode = str(getattr(mode, "value", mode))
    if mode not in UPDATES:
        raise BadInput(f"serve.update: mode {mode!r}: {' or '.join(UPDATES)} is wanted")
    name = stack_name(service_name)
    return begin("serve.update", name, service_name=name, mode=mode, **_of(task))


def status(service_names: str | list[str] | None = None) -> RequestId[list[ServiceRecord]]:
    """Services and their replicas; with names or patterns (`m-*`) those of them that are there."""
    names = [service_names] if isinstance(service_names, str) else service_names
    return begin("serve.status", service_names=names)


def down(service_names: str | list[str] | None = None, all: bool = False, purge: bool = False) -> RequestId[None]:
    """Take services away, with the clusters that were made for them. With `purge` also where that cannot be done."""
    names = [service_names] if isinstance(service_names, str) else service_names
    if bool(names) == all:
        raise BadInput("serve.down: which services?", hint="service_names or all=True, one of them")
    return begin("serve.down", ",".join(names or ()), service_names=None if all else names, purge=purge)


def terminate_replica(service_name: str, replica_id: int, purge: bool = False) -> RequestId[None]:
    """Take one replica away; another one comes for it. `purge` says nothing: no replica is kept after it failed."""
    name = stack_name(service_name)
    return begin("serve.terminate_replica", name, service_name=name, replica_id=int(replica_id))


def tail_logs(
    service_name: str,
    target: str | ServiceComponent,
    replica_id: int | None = None,
    follow: bool = True,
    output_stream: IO[str] | None = None,
) -> None:
    """Print what a replica, the controller or the balancer tells, and with `follow` go on. Goes to `output_stream`,
    else to standard output."""
    from skyrig import serving

    name, part = stack_name(service_name), ServiceComponent(str(getattr(target, "value", target)))
    if (part is ServiceComponent.REPLICA) != (replica_id is not None):
        raise BadInput("serve.tail_logs: replica_id goes with the target replica")
    out = _bytes_of(output_stream or sys.stdout)

    def notify(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if part is ServiceComponent.REPLICA:
        _beside(lambda: serving.logs(name, replica_id, out, notify, follow=follow))
    else:
        which = "controller" if part is ServiceComponent.CONTROLLER else "balancer"
        _beside(lambda: serving.logs_of(name, which, out, notify, follow=follow))
