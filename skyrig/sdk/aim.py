"""What the choice of machines minds most, as programs say it."""

from __future__ import annotations

from attrs import evolve

from skyrig.errors import BadInput
from skyrig.sdk.answers import OptimizeTarget
from skyrig.task.model import Task


def aimed(task: Task, target: OptimizeTarget) -> Task:
    """`task` with that. BadInput where time is to be minded, and the task does not say how long it takes."""
    if target is OptimizeTarget.COST:
        return task
    if not task.config.hours:
        raise BadInput("OptimizeTarget.TIME: the task does not say how long it takes", hint="Task.set_time_estimator")
    return evolve(task, config=task.config.minimizing("time"))
