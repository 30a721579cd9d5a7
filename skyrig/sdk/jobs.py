"""Managed jobs: `sky.jobs`. Each function checks what it was given, and makes a request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Any

from attrs import evolve

from skyrig.errors import BadInput
from skyrig.jobs.state import ManagedStatus as ManagedJobStatus
from skyrig.sdk.answers import ManagedJobRecord, ResourceHandle
from skyrig.sdk.cluster_jobs import _beside, _bytes_of
from skyrig.sdk.dag import Dag
from skyrig.sdk.missing import not_yet, refuse
from skyrig.sdk.request.calls import RequestId, begin
from skyrig.sdk.task import Task
from skyrig.task.model import TaskFile
from skyrig.task.override import placed

__all__ = [
    "ManagedJobStatus",
    "cancel",
    "download_logs",
    "launch",
    "pool_apply",
    "pool_down",
    "pool_status",
    "queue",
    "series",
    "tail_logs",
]


def launch(
    task: Task | Dag, name: str | None = None, pool: str | None = None, num_jobs: int | None = None
) -> RequestId[tuple[int | None, ResourceHandle | None]]:
    """Run a task, or a Dag whose tasks run one after another, as a managed job. Gives the job's number, and None for
    its cluster, which is made later: once the controller has the job."""
    refuse("sky.jobs.launch", pool=pool, num_jobs=num_jobs)
    file = _file(task, name)
    return begin("jobs.launch", name or file.name or "", file=file, told=(*file.mends, *file.warnings))


def queue(
    refresh: bool = False, skip_finished: bool = False, all_users: bool = False, job_ids: list[int] | None = None
) -> RequestId[list[ManagedJobRecord]]:
    """Managed jobs, the newest first, each task of a pipeline apart; with numbers those of them."""
    numbers = None if job_ids is None else [int(each) for each in job_ids]
    return begin("jobs.queue", refresh=refresh, skip_finished=skip_finished, job_ids=numbers)


def cancel(
    name: str | None = None, job_ids: list[int] | None = None, all: bool = False, all_users: bool = False
) -> RequestId[None]:
    """Cancel managed jobs, with their clusters: those of a name or of the numbers, or all that have not ended."""
    everything = all or all_users
    if sum((name is not None, bool(job_ids), everything)) != 1:
        raise BadInput("sky.jobs.cancel: which jobs?", hint="name, job_ids or all=True, one of them")
    numbers = [int(each) for each in job_ids or ()]
    return begin("jobs.cancel", name or "", job_name=name, job_ids=numbers, everything=everything)


def tail_logs(
    name: str | None = None,
    job_id: int | None = None,
    follow: bool = True,
    controller: bool = False,
    refresh: bool = False,
    tail: int | None = None,
    output_stream: IO[str] | None = None,
) -> int:
    """Print a managed job's output over all its attempts (of the newest one, or the newest of a name, without its
    number), and with `follow` go on until it ends; with `controller` what the controller did for it. Goes to
    `output_stream`, else to standard output; remarks go to standard error. Returns the job's exit code, 0 while it
    has none. Ctrl-C ends the watching alone, with 0."""
    from skyrig.jobs.following import Wanted
    from skyrig.managed import verbs

    managing = verbs()
    number = _beside(lambda: managing.find(job_id, name)).job.id
    out = _bytes_of(output_stream or sys.stdout)
    if controller:
        _beside(lambda: managing.controller_log(number, out, follow=follow, tail=tail or None))
        return 0
    return int(_beside(lambda: managing.follow(number, Wanted(follow=follow, tail=tail or None), out, _remark)))


def download_logs(
    name: str | None = None, job_id: int | None = None, local_dir: str | Path = "~/sky_logs"
) -> dict[int, str]:
    """Write the output of a managed job (the newest one, or the newest of a name, without its number) into files, one a
    rank of each attempt; their folder by the job's number."""
    from skyrig import managing
    from skyrig.managed import verbs

    asked = verbs()
    number = _beside(lambda: asked.find(job_id, name)).job.id
    base = Path(local_dir).expanduser()
    _beside(lambda: asked.saved_logs(number, base, _remark))
    return {number: str(managing.folder_of(base, number))}


def series(name: str | None = None, job_id: int | None = None, metrics: str | Path | None = None) -> dict[str, Any]:
    """What `jobs.logs --plot` draws of a managed job over all its attempts (of the newest one, or the newest of a name,
    without its number), as plain data, as for `sky.job_series`."""
    from skyrig import picturing

    file = None if metrics is None else Path(metrics)
    return _beside(lambda: picturing.series(picturing.of_managed(job_id, name, None, file)))


def pool_apply(task: Task | Dag, pool_name: str) -> RequestId[None]:
    """Make or change a pool of workers."""
    raise not_yet("sky.jobs.pool_apply")


def pool_status(pool_names: str | list[str] | None = None) -> RequestId[list[Any]]:
    """Pools of workers."""
    raise not_yet("sky.jobs.pool_status")


def pool_down(pool_names: str | list[str] | None = None, all: bool = False) -> RequestId[None]:
    """Take pools of workers away."""
    raise not_yet("sky.jobs.pool_down")


def _file(task: Task | Dag, name: str | None) -> TaskFile:
    """The tasks in the order in which they run, as a file of them. BadInput where files that they name are not there;
    NotYet for a Dag whose tasks run side by side."""
    if isinstance(task, Dag):
        tasks, several = task.in_order(), len(task) > 1
        name = name or task.name
    else:
        tasks, several = [task], False
    for each in tasks:
        each.file.require_files()
    return evolve(
        tasks[0].file,
        tasks=tuple(placed(each.value) for each in tasks),
        name=name or (None if several else tasks[0].value.name),
        several=several,
        mends=tuple(line for each in tasks for line in each.file.mends),
        warnings=tuple(line for each in tasks for line in each.file.warnings),
    )


def _remark(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
