"""What requests about managed jobs do, as `work` has it for the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from skyrig.sdk.answers import ManagedJobRecord, ResourceHandle

if TYPE_CHECKING:
    from skyrig.jobs.seen import Seen
    from skyrig.task.model import TaskFile

Notify = Callable[[str], None]


def launch(notify: Notify, *, file: TaskFile, told: Sequence[str]) -> tuple[int | None, ResourceHandle | None]:
    """Have the controller run a job. What costs money is agreed to."""
    from skyrig import managing, renting
    from skyrig.managed import verbs

    for line in told:
        notify(line)
    return int(verbs().launch(file, managing.Options(), notify, renting.pays).id), None


def queue(
    notify: Notify, *, refresh: bool, skip_finished: bool, job_ids: Sequence[int] | None
) -> list[ManagedJobRecord]:
    """Tasks of managed jobs, the newest job first."""
    from skyrig.managed import verbs

    now = time.time()
    found = verbs().queue(job_ids, skip_finished=skip_finished, refresh=refresh).jobs
    return [record for seen in reversed(found) for record in _records(seen, now)]


def cancel(notify: Notify, *, job_name: str | None, job_ids: Sequence[int], everything: bool) -> None:
    """Cancel jobs."""
    from skyrig.managed import verbs

    managing = verbs()
    jobs = managing.chosen(job_ids, [job_name] if job_name is not None else [], everything=everything)
    managing.cancel(jobs, notify, lambda question: True)


def _records(seen: Seen, now: float) -> list[ManagedJobRecord]:
    from skyrig.jobs.seen import ran_s

    return [
        ManagedJobRecord(
            job_id=seen.job.id,
            task_id=task.index,
            job_name=seen.job.name,
            task_name=task.name,
            status=seen.status if task is seen.job.current else task.status,
            submitted_at=seen.job.submitted_at,
            start_at=task.started_at or None,
            end_at=task.ended_at or None,
            job_duration=ran_s(task, now),
            recovery_count=len(task.recoveries),
            resources=task.resources,
            cluster_name=task.stack,
            failure_reason=seen.reason if task is seen.job.current else task.reason,
            exit_code=task.exit_code,
            user_name=seen.job.user,
        )
        for task in seen.job.tasks
    ]
