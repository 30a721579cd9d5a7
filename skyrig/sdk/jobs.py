"""Managed jobs: `sky.jobs`."""

from __future__ import annotations

from typing import IO, Any

from skyrig.sdk.answers import ResourceHandle
from skyrig.sdk.dag import Dag
from skyrig.sdk.missing import not_yet
from skyrig.sdk.request.calls import RequestId
from skyrig.sdk.task import Task


def launch(
    task: Task | Dag, name: str | None = None, pool: str | None = None, num_jobs: int | None = None
) -> RequestId[tuple[int | None, ResourceHandle | None]]:
    """Run a task, or several, as a managed job."""
    raise not_yet("sky.jobs.launch")


def queue(refresh: bool = False, skip_finished: bool = False, all_users: bool = False) -> RequestId[list[Any]]:
    """Managed jobs."""
    raise not_yet("sky.jobs.queue")


def cancel(
    name: str | None = None, job_ids: list[int] | None = None, all: bool = False, all_users: bool = False
) -> RequestId[None]:
    """Cancel managed jobs."""
    raise not_yet("sky.jobs.cancel")


def tail_logs(
    name: str | None = None,
    job_id: int | None = None,
    follow: bool = True,
    controller: bool = False,
    refresh: bool = False,
    output_stream: IO[str] | None = None,
) -> int:
    """Print a managed job's output."""
    raise not_yet("sky.jobs.tail_logs")


def download_logs(name: str | None = None, job_id: int | None = None) -> dict[int, str]:
    """Write a managed job's output into files."""
    raise not_yet("sky.jobs.download_logs")


def pool_apply(task: Task | Dag, pool_name: str) -> RequestId[None]:
    """Make or change a pool of workers."""
    raise not_yet("sky.jobs.pool_apply")


def pool_status(pool_names: str | list[str] | None = None) -> RequestId[list[Any]]:
    """Pools of workers."""
    raise not_yet("sky.jobs.pool_status")


def pool_down(pool_names: str | list[str] | None = None, all: bool = False) -> RequestId[None]:
    """Take pools of workers away."""
    raise not_yet("sky.jobs.pool_down")
