"""Managed jobs as they are shown: what is known of one, how it stands now, and the objects of `jobs.queue --json`."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from skyrig.errors import BadInput, NoCapacity, SkyrigError
from skyrig.jobs.state import ManagedJob, ManagedStatus, Recovery, TaskState
from skyrig.launch.job import CANCELLED

_CODES = {
    ManagedStatus.SUCCEEDED: 0,
    ManagedStatus.CANCELLED: CANCELLED,
    ManagedStatus.FAILED_PRECHECKS: BadInput.exit_code,
    ManagedStatus.FAILED_NO_RESOURCE: NoCapacity.exit_code,
}
"""What a command that followed a job ends with where no script of it has said a code."""


@frozen
class Seen:
    """A managed job, `status` with it being cancelled counted in, and what the controller tries in vain, if anything
    (`remark`)."""

    job: ManagedJob
    status: ManagedStatus
    remark: str = ""

    @property
    def reason(self) -> str:
        """Why it stands as it does, in one line; "" where there is nothing to be said."""
        return self.job.current.reason or ("" if self.status.ended else self.remark)

    @property
    def exit_code(self) -> int:
        """What a command that followed it to its end ends with."""
        code = self.job.current.exit_code
        if code is None or (code == 0) is not (self.status is ManagedStatus.SUCCEEDED):
            return _CODES.get(self.status, SkyrigError.exit_code)
        return code

    def to_json(self, now: float) -> dict[str, Any]:
        """The object of `jobs.queue --json`; times in seconds since the epoch, null where not yet. What is of one task
        is that of the current one, what adds up is of all."""
        job, current = self.job, self.job.current
        tasks = [_task(each, now) for each in job.tasks]
        started = [each.started_at for each in job.tasks if each.started_at]
        return {
            "id": job.id,
            "name": job.name,
            "status": str(self.status),
            "submitted_at": job.submitted_at or None,
            "started_at": min(started, default=None),
            "ended_at": (current.ended_at or None) if self.status.ended else None,
            "num_nodes": current.num_nodes,
            "exit_codes": _codes(current),
            "exit_code": self.exit_code if self.status.ended else None,
            "recoveries": sum(len(each.recoveries) for each in job.tasks),
            "cluster": current.stack,
            "task_id": current.task_id,
            "task": current.index,
            "tasks": tasks,
            "reason": self.reason,
            "resources": current.resources,
            "job_duration": sum(each["job_duration"] for each in tasks),
            "recovered": [each for task in tasks for each in task["recovered"]],
            "user": job.user,
        }


def ran_s(task: TaskState, now: float) -> float:
    """For how many seconds a task has run by `now`, over all its attempts."""
    return task.ran_s + (max(now - task.running_at, 0.0) if task.running_at and not task.status.ended else 0.0)


def _task(task: TaskState, now: float) -> dict[str, Any]:
    return {
        "task": task.index,
        "name": task.name,
        "status": str(task.status),
        "started_at": task.started_at or None,
        "ended_at": task.ended_at or None,
        "num_nodes": task.num_nodes,
        "exit_codes": _codes(task),
        "exit_code": task.exit_code,
        "recoveries": len(task.recoveries),
        "cluster": task.stack,
        "task_id": task.task_id,
        "attempt": task.attempt,
        "jobs": list(task.jobs),
        "reason": task.reason,
        "resources": task.resources,
        "job_duration": ran_s(task, now),
        "recovered": [_recovery(each) for each in task.recoveries],
    }


def _codes(task: TaskState) -> list[int | None]:
    return [None if code < 0 else code for code in task.exit_codes]


def _recovery(each: Recovery) -> dict[str, Any]:
    return {
        "at": each.at,
        "cause": str(each.cause),
        "reason": each.reason,
        "nodes": list(each.nodes),
        "moved": each.moved,
        "took_s": each.took_s or None,
    }
