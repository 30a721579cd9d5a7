"""Managed jobs as tables on standard output."""

from __future__ import annotations

import time

from skyrig.cli.tables import table
from skyrig.cluster.policy import said_left
from skyrig.jobs import told
from skyrig.jobs.seen import Seen, ran_s
from skyrig.jobs.state import TaskState
from skyrig.managing import Queue

_HEADS = ("JOB", "TASK", "NAME", "STATUS", "SUBMITTED", "RAN", "RECOVERIES", "NODES", "CLUSTER", "EXIT", "REASON")


def managed(found: Queue) -> None:
    """Managed jobs, one a row, the tasks of a pipeline below theirs; why each was brought back, and the controller."""
    now = time.time()
    rows = [row for each in found.jobs for row in _rows(each, now)]
    table(_HEADS, rows, "no managed jobs")
    lines = [line for each in found.jobs for line in _recovered(each)]
    if lines:
        print("", *lines, sep="\n")
    if not found.controller.alive and any(not each.status.ended for each in found.jobs):
        since = found.controller.since
        when = f" since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(since))}" if since else ""
        print(f"\nthe controller was away{when}: started again, open jobs go on")


def _rows(seen: Seen, now: float) -> list[list[object]]:
    job, tasks = seen.job, seen.job.tasks
    current = job.current
    whole = [
        job.id,
        f"{current.index + 1}/{len(tasks)}" if len(tasks) > 1 else "-",
        job.name,
        seen.status,
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.submitted_at)),
        _took(sum(ran_s(each, now) for each in tasks)),
        sum(len(each.recoveries) for each in tasks),
        current.num_nodes,
        current.stack,
        seen.exit_code if seen.status.ended else "-",
        seen.reason,
    ]
    return [whole, *(_task(each, now) for each in tasks)] if len(tasks) > 1 else [whole]


def _task(task: TaskState, now: float) -> list[object]:
    return [
        "",
        task.index,
        task.name,
        task.status,
        "-",
        _took(ran_s(task, now)),
        len(task.recoveries),
        task.num_nodes,
        task.stack,
        "-" if task.exit_code is None else task.exit_code,
        task.reason,
    ]


def _recovered(seen: Seen) -> list[str]:
    """Each time that a job was brought back, and why."""
    found = []
    for task in seen.job.tasks:
        which = f"{seen.job.id}" + (f" (task {task.index})" if len(seen.job.tasks) > 1 else "")
        for each in task.recoveries:
            at = time.strftime("%H:%M:%S", time.localtime(each.at))
            end = f"back after {each.took_s:.0f} s" if each.took_s else "not back yet"
            moved = ", the whole gang elsewhere" if each.moved else ""
            made = f", made anew: {', '.join(each.nodes)}" if each.nodes and not each.moved else ""
            found.append(f"{which}: {at} {told.reason(each)}{made}{moved}; {end}")
    return found


def _took(seconds: float) -> str:
    return said_left(seconds) if seconds else "-"
