"""Services: `sky.serve`."""

from __future__ import annotations

from typing import IO, Any

from skyrig.sdk.dag import Dag
from skyrig.sdk.missing import not_yet
from skyrig.sdk.request.calls import RequestId
from skyrig.sdk.task import Task


def up(task: Task | Dag, service_name: str) -> RequestId[tuple[str, str]]:
    """Bring a service up; its name and endpoint."""
    raise not_yet("sky.serve.up")


def update(task: Task | Dag, service_name: str, mode: str = "rolling") -> RequestId[None]:
    """Change a service."""
    raise not_yet("sky.serve.update")


def status(service_names: str | list[str] | None = None) -> RequestId[list[Any]]:
    """Services and their replicas."""
    raise not_yet("sky.serve.status")


def down(service_names: str | list[str] | None = None, all: bool = False, purge: bool = False) -> RequestId[None]:
    """Take services away."""
    raise not_yet("sky.serve.down")


def terminate_replica(service_name: str, replica_id: int, purge: bool = False) -> RequestId[None]:
    """Take one replica away."""
    raise not_yet("sky.serve.terminate_replica")


def tail_logs(
    service_name: str,
    target: str,
    replica_id: int | None = None,
    follow: bool = True,
    output_stream: IO[str] | None = None,
) -> None:
    """Print what a replica, the controller or the balancer tells."""
    raise not_yet("sky.serve.tail_logs")
