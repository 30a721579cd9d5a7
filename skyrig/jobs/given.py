"""The variables that a managed job's tasks find beside their own, the same over all that happens to it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from skyrig.jobs.state import ManagedJob

_OWN = "SKYPILOT_TASK_ID"


def given(job: ManagedJob, index: int) -> dict[str, str]:
    """Variables for the attempt that task `index` (from 0) of the job is at, as JobRequest.given has them."""
    ids = {
        "TASK_ID": job.tasks[index].task_id,
        "TASK_IDS": "\n".join(task.task_id for task in job.tasks),
        "MANAGED_JOB_ID": str(job.id),
        "JOB_RANK": "0",
    }
    twins = {f"{prefix}_{name}": value for prefix in ("SKYPILOT", "SKYRIG") for name, value in ids.items()}
    return {**twins, "SKYRIG_ATTEMPT": str(job.tasks[index].attempt)}


def task_id(job_id: int, names: tuple[str, ...], index: int, at: float, env: Mapping[str, str]) -> str:
    """What a task is called in SKYPILOT_TASK_ID for its whole life: after the job's name, and in a pipeline the task's
    (`names`), the job's number and the task's `index`; `at` is when the job was asked for, in seconds since the epoch.
    Where the task's own variables `env` say what it is called, that is it."""
    moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(at))
    made = f"sky-managed-{moment}-{int(at % 1 * 1e6):06d}_{'_'.join(names)}_{job_id}-{index}"
    return env.get(_OWN, made)
