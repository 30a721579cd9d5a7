"""What is known of a managed job: plain values, kept in the controller's table, shown by `jobs.queue`."""

from __future__ import annotations

from enum import Enum

import cattrs
from attrs import frozen

from skyrig.launch.job import Cause


class ManagedStatus(str, Enum):
    """Life of a managed job: PENDING -> STARTING -> SETTING_UP -> RUNNING -> (RECOVERING -> RUNNING)* -> an end.
    CANCELLING is on the way to CANCELLED. Its text is its name."""

    __str__ = str.__str__

    PENDING = "PENDING"
    STARTING = "STARTING"
    SETTING_UP = "SETTING_UP"
    RUNNING = "RUNNING"
    RECOVERING = "RECOVERING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    FAILED_SETUP = "FAILED_SETUP"
    FAILED_PRECHECKS = "FAILED_PRECHECKS"
    FAILED_NO_RESOURCE = "FAILED_NO_RESOURCE"
    FAILED_CONTROLLER = "FAILED_CONTROLLER"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether the job will change no more."""
        return self in _ENDS

    def is_terminal(self) -> bool:
        """The same, as programs written for SkyPilot ask it."""
        return self.ended


_ENDS = frozenset(
    {
        ManagedStatus.SUCCEEDED,
        ManagedStatus.FAILED,
        ManagedStatus.FAILED_SETUP,
        ManagedStatus.FAILED_PRECHECKS,
        ManagedStatus.FAILED_NO_RESOURCE,
        ManagedStatus.FAILED_CONTROLLER,
        ManagedStatus.CANCELLED,
    }
)


@frozen
class Recovery:
    """One time that a task was brought back: the moment `at` (seconds since the epoch) it was known to be needed, its
    `cause` and the `reason` in one line, the `nodes` that were made anew (ids), whether the whole gang `moved` to
    another place, and after how many seconds it ran again (0.0: it does not yet). `job` is the number on its cluster of
    the attempt that began with it (0: there is none yet, or the job went on without the lost nodes)."""

    at: float
    cause: Cause
    reason: str
    nodes: tuple[str, ...] = ()
    moved: bool = False
    took_s: float = 0.0
    job: int = 0


@frozen
class TaskState:
    """One task of a managed job. `attempt` counts its submissions (0: none yet), each a job of the cluster `stack`,
    whose numbers there are `jobs`; `task_id` is the same for all of them. `restarts` counts those after it failed by
    itself. Moments in seconds since the epoch, 0.0 where not yet; `ran_s` is for how long its attempts have run, that
    which runs now, since `running_at`, apart."""

    index: int
    name: str
    task_id: str
    stack: str
    num_nodes: int
    resources: str = ""
    status: ManagedStatus = ManagedStatus.PENDING
    attempt: int = 0
    jobs: tuple[int, ...] = ()
    recoveries: tuple[Recovery, ...] = ()
    restarts: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0
    running_at: float = 0.0
    ran_s: float = 0.0
    exit_codes: tuple[int, ...] = ()
    exit_code: int | None = None
    reason: str = ""

    def key(self, job_id: int) -> str:
        """The key of its newest submission: whoever submits it again, not knowing whether it arrived, gets that one."""
        return f"managed-{job_id}-{self.index}-{self.attempt}"


@frozen
class ManagedJob:
    """A managed job, with its tasks in their order; one is at work at a time."""

    id: int
    name: str
    tasks: tuple[TaskState, ...]
    submitted_at: float
    user: str = ""

    @property
    def current(self) -> TaskState:
        """The task that is at work, or comes next; of a job that has ended the one that it ended with."""
        return next((each for each in self.tasks if each.status is not ManagedStatus.SUCCEEDED), self.tasks[-1])

    @property
    def status(self) -> ManagedStatus:
        """Its current task's."""
        return self.current.status


CONVERTER = cattrs.Converter()
"""Turns the values of this room into plain data and back."""
