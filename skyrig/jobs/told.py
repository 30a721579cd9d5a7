"""What happens to a managed job, in lines for who follows it."""

from __future__ import annotations

from skyrig.jobs.seen import Seen
from skyrig.jobs.state import ManagedStatus, Recovery, TaskState
from skyrig.launch.job import Cause


def news(before: Seen | None, now: Seen) -> list[str]:
    """What has changed since `before` (None: nothing was told yet), one line a change, without the job's number."""
    lines = []
    for index, task in enumerate(now.job.tasks):
        old = before.job.tasks[index] if before is not None else None
        known = len(old.recoveries) if old is not None else len(task.recoveries)
        lines += [f"{_of(now, task)}RECOVERING: {reason(each)}" for each in task.recoveries[known:]]
        if old is not None:
            lines += [f"{_of(now, task)}{again}" for again in _again(old, task)]
            if task.status.ended and not old.status.ended and task is not now.job.current:
                lines.append(f"{_of(now, task)}{task.status}")
    status, current = now.status, now.job.current
    was = (before.status, before.job.current.index) if before is not None else None
    was_said = status is ManagedStatus.RECOVERING and now.reason in ("", _last_reason(current))
    if was != (status, current.index) and not (was_said and before is not None):
        lines.append(f"{_of(now, current)}{_said(now)}")
    elif before is not None and not status.ended and now.reason not in ("", before.reason, _last_reason(current)):
        lines.append(f"{_of(now, current)}{status}: {now.reason}")
    return lines


def _last_reason(task: TaskState) -> str:
    return task.recoveries[-1].reason if task.recoveries else ""


def reason(each: Recovery) -> str:
    """Why a task was brought back: `n1 was lost (preemption)`."""
    said = each.reason or (f"{' and '.join(each.nodes)} was lost" if each.nodes else "it had to begin again")
    return said if each.cause is Cause.NONE or str(each.cause) in said else f"{said} ({each.cause})"


def attempt(task: TaskState, position: int) -> str:
    """The line before the output of a task's attempt that is not its first, `position` from 0."""
    each = _recovery(task, position)
    if each is None:
        return f"attempt {position + 1}"
    back = f", back after {each.took_s:.0f} s" if each.took_s else ""
    moved = ", elsewhere" if each.moved else ""
    return f"attempt {position + 1}: {reason(each)}{moved}{back}"


def _recovery(task: TaskState, position: int) -> Recovery | None:
    """The recovery that an attempt began with."""
    number = task.jobs[position]
    named = next((each for each in task.recoveries if each.job == number), None)
    if named is not None or any(each.job for each in task.recoveries):
        return named
    return task.recoveries[position - 1] if len(task.recoveries) == len(task.jobs) - 1 else None


def _again(before: TaskState, now: TaskState) -> list[str]:
    """Recoveries that have come to their end since."""
    pairs = zip(before.recoveries, now.recoveries, strict=False)
    return [f"back after {new.took_s:.0f} s" for old, new in pairs if new.took_s and not old.took_s]


def _said(now: Seen) -> str:
    """A status with what belongs to it."""
    where = f" on {now.job.current.stack}" if now.status is ManagedStatus.RUNNING else ""
    return f"{now.status}{where}" + (f": {now.reason}" if now.reason else "")


def _of(now: Seen, task: TaskState) -> str:
    """Which task of a pipeline it is."""
    return f"task {task.index} ({task.name}): " if len(now.job.tasks) > 1 else ""
