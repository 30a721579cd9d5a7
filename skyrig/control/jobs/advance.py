"""What becomes of a managed job by what is seen of it: values in, the job as it is then out. Nothing is done here.

The number of an attempt goes up here alone, and only once the attempt before has been seen to end, or its nodes to be
gone: what does the work submits the newest one, as often as it likes.
"""

from __future__ import annotations

from attrs import evolve

from skyrig.cluster.description import ClusterDescription
from skyrig.control.jobs.known import OUT, Known, least, recovery
from skyrig.control.look import SHUT_S
from skyrig.jobs.spec import Policy
from skyrig.jobs.state import ManagedJob, ManagedStatus, Recovery, TaskState
from skyrig.launch.job import LOST_NODE, Cause, JobRecord, JobStatus

NO_PROGRESS = 3
"""How often a task is brought back whose surroundings fail before it gets anywhere."""

_PROGRESS_S = 60.0
"""For how long a task must run to have got somewhere."""

_LEASE_OVER_S = 600.0
"""How long after the end of its lease a cluster has ended itself."""

_TAKE_S = 5.0
"""How long before its end a node is left whose successor is there."""

_NO_CAPACITY, _BAD_INPUT = 3, 2
"""Exit codes of work for which there was no capacity, and of work that cannot be done as it was asked for."""

_ON_PURPOSE = ("", "cancelled", "the cluster was taken down", "the cluster was stopped")
"""Reasons of jobs that a person ended; one that its own cluster ended says why that went."""


_LIVED = "its time to live of"
"""How the reason of a cluster begins that has lived as long as it was to, as its keeper says it."""


def advanced(known: Known) -> ManagedJob:
    """The job as it is now, by what is known of it."""
    job, task = known.job, known.job.current
    if known.gone or task.status.ended:
        return job
    if known.defect:
        return ended(job, ManagedStatus.FAILED_CONTROLLER, known.defect, known.now)
    if task.attempt == 0:
        return changed(job, evolve(task, status=ManagedStatus.STARTING, attempt=1))
    if not known.submitted:
        return _not_begun(known)
    record = known.record
    if record is None:
        return _unheard(known)
    task = _numbered(task, record)
    return _done(known, task, record) if record.status.ended else _live(known, task, record)


def changed(job: ManagedJob, task: TaskState) -> ManagedJob:
    """The job with one of its tasks as given."""
    return evolve(job, tasks=tuple(task if each.index == task.index else each for each in job.tasks))


def ended(
    job: ManagedJob, status: ManagedStatus, reason: str, now: float, *, exit_code: int | None = None
) -> ManagedJob:
    """The job whose task at work has ended so."""
    task = _stood(job.current, now)
    code = task.exit_code if exit_code is None else exit_code
    return changed(job, evolve(task, status=status, reason=reason, ended_at=now, exit_code=code))


def _stood(task: TaskState, now: float) -> TaskState:
    """The task, which does not run any more."""
    ran = max(0.0, now - task.running_at) if task.running_at else 0.0
    return evolve(task, ran_s=task.ran_s + ran, running_at=0.0)


def _numbered(task: TaskState, record: JobRecord) -> TaskState:
    """The task with the number that its attempt has on its cluster."""
    if record.id in task.jobs:
        return task
    before = task.recoveries[:-1]
    last = [evolve(each, job=record.id) for each in task.recoveries[-1:]]  # it is what this attempt began with
    return evolve(task, jobs=(*task.jobs, record.id), recoveries=(*before, *last))


def _not_begun(known: Known) -> ManagedJob:
    """Nobody has taken the newest attempt yet. A job that was never up may fail for want of a place."""
    job, task, tried = known.job, known.job.current, known.tried
    if tried is None or task.attempt > 1 or task.jobs:
        return job
    reason = task.reason
    if tried.code == _NO_CAPACITY and (tried.never or not known.spec.retry):
        return ended(job, ManagedStatus.FAILED_NO_RESOURCE, reason or "there is no capacity", known.now)
    if tried.code == _BAD_INPUT and not known.spec.retry:
        return ended(job, ManagedStatus.FAILED_PRECHECKS, reason or "it cannot be done", known.now)
    return job


def _unheard(known: Known) -> ManagedJob:
    """The keeper cannot be heard, or knows nothing of an attempt that a head took."""
    job, look = known.job, known.look
    if look is None:
        return job
    if look.cluster is None:
        if _LIVED in look.left:
            return ended(job, ManagedStatus.CANCELLED, look.left, known.now)
        if look.left:
            return lost(known, Cause.NODE, f"its cluster ended itself: {look.left}", ())
        return ended(job, ManagedStatus.CANCELLED, "its cluster was taken down", known.now)
    if look.power == "down":
        return ended(job, ManagedStatus.CANCELLED, "its cluster was taken down", known.now)
    if look.power != "up":
        return job  # somebody stopped it, and may start it again
    head = look.cluster.head
    if look.head_power in OUT and _LIVED in look.left:
        return ended(job, ManagedStatus.CANCELLED, look.left, known.now)
    if look.head_power in OUT:
        why = f"its cluster ended itself: {look.left}" if look.left else _lost_text(known.out)
        return lost(known, Cause.NODE, why, known.out)
    if look.head_power == "stopped":
        return lost(known, Cause.NODE, f"{head.id} (the head) was switched off", (head.id,))
    if known.head and head.incarnation != known.head:
        return lost(known, Cause.NODE, f"{head.id} (the head) is another machine", (head.id,))
    if known.sight is not None:
        return lost(known, Cause.SURROUNDINGS, f"{head.id} (the head) knows nothing of it", ())
    if known.away_s > _silence(known, look.cluster):
        why = f"{head.id} (the head) has been silent for {known.away_s:.0f} s"
        return lost(known, Cause.NODE, why, (head.id,))
    return job


def _silence(known: Known, cluster: ClusterDescription) -> float:
    """How long a head that is there may be silent before it counts as lost. Elsewhere than on this machine it may be us
    who cannot be reached, while the job goes on: such a cluster has ended itself once the lease is over, or can not."""
    if cluster.cloud == "local":
        return SHUT_S
    return recovery(known.spec, known.job.current).lease_s + _LEASE_OVER_S


def _done(known: Known, task: TaskState, record: JobRecord) -> ManagedJob:
    """The attempt has ended."""
    now, how = known.now, recovery(known.spec, task)
    task = _ran(evolve(task, exit_codes=record.exit_codes, exit_code=record.exit_code), record, now)
    job = changed(known.job, task)
    seen = evolve(known, job=job)
    if record.status is JobStatus.SUCCEEDED:
        return ended(job, ManagedStatus.SUCCEEDED, "", now)
    if record.status is JobStatus.CANCELLED:
        own = record.reason in _ON_PURPOSE and not (known.look is not None and known.look.left)
        if own or record.reason.startswith(_LIVED):
            return ended(job, ManagedStatus.CANCELLED, record.reason or "cancelled", now)
        return lost(seen, Cause.NODE, f"its cluster ended itself: {record.reason}", ())
    failed = ManagedStatus.FAILED_SETUP if record.status is JobStatus.FAILED_SETUP else ManagedStatus.FAILED
    cause = cause_of(record)
    if cause is Cause.SCRIPT:
        if record.exit_code in how.codes and record.status is JobStatus.FAILED:
            return lost(seen, cause, record.reason, ())
        if task.restarts < how.restarts:
            again = evolve(task, restarts=task.restarts + 1)
            return lost(evolve(seen, job=changed(job, again)), cause, record.reason, ())
        return ended(job, failed, record.reason, now)
    if cause is Cause.HANG and how.hang_stops:
        return ended(job, failed, record.reason, now)
    if cause is Cause.SURROUNDINGS and stuck(task, now, cause) >= NO_PROGRESS:
        return ended(job, failed, record.reason, now)
    return lost(seen, cause, record.reason, record.lost)


def _ran(task: TaskState, record: JobRecord, now: float) -> TaskState:
    """The task, which ran at least as long as the record of its attempt says, seen or not."""
    if task.running_at or not record.started_at:
        return task
    begun = now - max(0.001, record.ended_at - record.started_at)
    return evolve(_closed(task, begun), running_at=begun, started_at=task.started_at or begun)


def cause_of(record: JobRecord) -> Cause:
    """Why a job failed; of a keeper that does not say so, by its exit code."""
    if record.cause is not Cause.NONE:
        return record.cause
    return Cause.NODE if record.exit_code == LOST_NODE else Cause.SCRIPT


def stuck(task: TaskState, now: float, of: Cause | None = None) -> int:
    """How often, at the end of its history, a task was brought back (for that cause, where one is named) without having
    got anywhere before."""
    count, until = 0, now if not task.running_at else task.running_at
    if task.running_at and now - task.running_at >= _PROGRESS_S:
        return 0
    for each in reversed(task.recoveries):
        if of not in (None, each.cause) or (each.took_s and until - (each.at + each.took_s) >= _PROGRESS_S):
            break
        count, until = count + 1, each.at
    return count


def _live(known: Known, task: TaskState, record: JobRecord) -> ManagedJob:
    """The attempt is at work, or waits."""
    out = tuple(node_id for node_id in known.out if node_id in record.nodes or not record.nodes)
    missing = tuple(dict.fromkeys((*record.lost, *out)))
    if missing:
        cause = Cause.PREEMPTION if known.sight and set(missing) & known.sight.leaving.keys() else Cause.NODE
        if goes_on(known, record, missing):
            return changed(known.job, _without(task, cause, missing, known.now))
        if out:
            return lost(evolve(known, job=changed(known.job, task)), cause, _lost_text(out), out)
    now = known.now
    if going := _about_to_go(known, record):
        seen = evolve(known, job=changed(known.job, task))
        return lost(seen, Cause.PREEMPTION, f"{', '.join(going)} goes, and another one is there", going)
    if record.status is JobStatus.RUNNING:
        task = _closed(task, now) if not missing else task
        at = task.running_at or now
        begun = task.started_at or now
        return changed(
            known.job, evolve(task, status=ManagedStatus.RUNNING, running_at=at, started_at=begun, reason="")
        )
    if record.status is JobStatus.SETTING_UP and task.status is ManagedStatus.STARTING:
        task = evolve(task, status=ManagedStatus.SETTING_UP, started_at=task.started_at or now, reason="")
    return changed(known.job, task)


def _about_to_go(known: Known, record: JobRecord) -> tuple[str, ...]:
    """Nodes that will be gone in a moment, each of which has its successor: what was to be saved has been by now."""
    leaving = known.sight.leaving if known.sight is not None else {}
    near = tuple(each for each in record.nodes[1:] if 0 < leaving.get(each, 0.0) <= known.now + _TAKE_S)
    return tuple(each for each in near if known.spares.get(each))


def goes_on(known: Known, record: JobRecord, missing: tuple[str, ...]) -> bool:
    """Whether a job that runs goes on without those nodes."""
    enough = least(recovery(known.spec, known.job.current), known.job.current)
    if not enough or record.status is not JobStatus.RUNNING or not record.nodes:
        return False
    return record.nodes[0] not in missing and len(record.nodes) - len(missing) >= enough


def _without(task: TaskState, cause: Cause, missing: tuple[str, ...], now: float) -> TaskState:
    """A task that goes on without nodes, which are made anew meanwhile."""
    last = task.recoveries[-1] if task.recoveries else None
    if last is not None and not last.took_s and set(missing) <= set(last.nodes):
        return task
    return evolve(task, recoveries=(*task.recoveries, Recovery(now, cause, _lost_text(missing), missing)))


def _closed(task: TaskState, now: float) -> TaskState:
    """A task that runs again with all its nodes."""
    closed = tuple(evolve(each, took_s=max(0.001, now - each.at)) if not each.took_s else each
                   for each in task.recoveries)  # fmt: skip
    return evolve(task, recoveries=closed)


def lost(known: Known, cause: Cause, reason: str, nodes: tuple[str, ...]) -> ManagedJob:
    """The job whose newest attempt is over, and which is brought back, if it is to be."""
    job, now = known.job, known.now
    task = _stood(job.current, now)
    if recovery(known.spec, task).policy is Policy.STOP and cause is not Cause.SCRIPT:
        code = LOST_NODE if task.exit_code is None else task.exit_code
        return ended(job, ManagedStatus.FAILED, reason, now, exit_code=code)
    once = Recovery(now, cause, reason, nodes)
    return changed(
        job,
        evolve(
            task,
            status=ManagedStatus.RECOVERING,
            attempt=task.attempt + 1,
            recoveries=(*task.recoveries, once),
            exit_codes=(),
            exit_code=None,
            reason=reason,
        ),
    )


def _lost_text(nodes: tuple[str, ...]) -> str:
    return f"{', '.join(nodes)} {'is' if len(nodes) == 1 else 'are'} lost"
