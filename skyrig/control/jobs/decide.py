"""What is to be done for a managed job, worked out from what is known: values in, one action out."""

from __future__ import annotations

from attrs import evolve, frozen

from skyrig.control.jobs.advance import NO_PROGRESS, advanced, changed, goes_on, stuck
from skyrig.control.jobs.known import NOTHING, OUT, Act, Action, Known, recovery
from skyrig.control.look import SHUT_S
from skyrig.jobs.spec import Policy, Strategy
from skyrig.jobs.state import ManagedJob, ManagedStatus, TaskState
from skyrig.launch.job import Cause, JobRecord

_RESTS_S = (5.0, 15.0, 60.0, 300.0)
"""How long a job rests that was brought back again and again without getting anywhere."""

_NO_CAPACITY = 3


EARLY_S = 15.0
"""How long before a node goes another one is still worth making."""


@frozen
class Decision:
    """The job as it is now, and what is to be done for it."""

    job: ManagedJob
    action: Action


def decide(known: Known) -> Decision:
    """What has become of the job, and what is to be done now."""
    job = advanced(known)
    action = _action(job, known)
    return Decision(_noted(job, action), action)


def what(act: Act, job: ManagedJob) -> str:
    """What is left alone for a while after it failed: the same for the same attempt."""
    return f"{act} {job.current.index}.{job.current.attempt}"


def _noted(job: ManagedJob, action: Action) -> ManagedJob:
    """The job, whose newest recovery says what is made anew for it."""
    task = job.current
    if action.act not in (Act.REPAIR, Act.MOVE) or not task.recoveries:
        return job
    last = task.recoveries[-1]
    nodes = tuple(dict.fromkeys((*last.nodes, *action.nodes)))
    noted = evolve(last, nodes=nodes, moved=last.moved or action.act is Act.MOVE)
    return changed(job, evolve(task, recoveries=(*task.recoveries[:-1], noted)))


def _action(job: ManagedJob, known: Known) -> Action:
    task = job.current
    if task.status.ended or known.gone:
        if known.cleared >= len(job.tasks):
            return Action(Act.PAST)
        return Action(Act.END, "it is cancelled") if known.gone else Action(Act.FINISH, f"it has {_said(task)}")
    if known.cleared < task.index:
        return Action(Act.NEXT, f"task {task.index - 1} has SUCCEEDED")
    is_same = job.current.attempt == known.job.current.attempt
    if is_same and known.submitted:
        return _meanwhile(job, known)
    return _begin(task, known)


def _said(task: TaskState) -> str:
    return str(task.status) + (f": {task.reason}" if task.reason else "")


def _meanwhile(job: ManagedJob, known: Known) -> Action:
    """What is to be done while an attempt is at work."""
    record, look = known.record, known.look
    if record is None and look is not None and look.cluster is not None and known.away_s > SHUT_S:
        why = f"{look.cluster.head.id} (the head) has been silent for {known.away_s:.0f} s"
        return Action(Act.MEND, why) if (look.power, look.head_power) == ("up", "up") else NOTHING
    if record is None or record.status.ended:
        return NOTHING
    out = tuple(node_id for node_id in known.out if node_id in record.nodes)
    missing = tuple(dict.fromkeys((*record.lost, *out)))
    if missing and goes_on(known, record, missing) and known.look is not None:
        open_ = job.current.recoveries[-1] if job.current.recoveries else None
        return Action(Act.MEND, f"{', '.join(missing)} lost, the job goes on", missing, open_.at if open_ else 0.0)
    return _early(job.current, record, known)


def _early(task: TaskState, record: JobRecord, known: Known) -> Action:
    """What is to be done about nodes that are said to go, but for the head: another one for each is made while they are
    there, where there is time for that."""
    how = recovery(known.spec, task)
    leaving = known.sight.leaving if known.sight is not None else {}
    if not how.early or how.policy is not Policy.RESTART or known.look is None:
        return NOTHING
    going = tuple(each for each in record.nodes[1:] if leaving.get(each, 0.0) > known.now + EARLY_S)
    if fresh := tuple(each for each in going if each not in known.spares):
        return Action(Act.SPARE, f"{', '.join(fresh)} {'is' if len(fresh) == 1 else 'are'} about to go", fresh)
    stays = tuple(each for each, spare in known.spares.items() if spare and each not in leaving)
    return Action(Act.SPARED, f"{', '.join(stays)} does not go after all", stays) if stays else NOTHING


def _begin(task: TaskState, known: Known) -> Action:
    """How the newest attempt is brought to a cluster."""
    if task.attempt == 1 and task.status is ManagedStatus.STARTING:
        return Action(Act.START, "it is to begin")
    if (resting := _rests(task, known.now)) > 0:
        return Action(Act.NOTHING, f"it did not get anywhere: tried again in {resting:.0f} s")
    if known.look is None:
        return NOTHING
    look, cluster = known.look, known.look.cluster
    why = task.reason or "it is brought back"
    last = task.recoveries[-1] if task.recoveries else None
    if cluster is None or look.power == "down":
        return Action(Act.START, why)
    place = cluster.region
    dead = all(look.powers.get(node.id) in OUT for node in cluster.nodes)
    eager = recovery(known.spec, task).strategy is Strategy.EAGER_NEXT_REGION
    if dead and eager and place:
        return Action(Act.MOVE, why, avoid=place)
    head = cluster.head
    is_same = known.suspects.get(head.id) == head.incarnation and look.head_power == "up"
    if last is not None and head.id in last.nodes and is_same:
        return Action(Act.MOVE, why)  # it alone cannot be made anew while it is there
    tried = known.tried
    if tried is not None and tried.code == _NO_CAPACITY and tried.what == f"{Act.REPAIR} {task.index}.{task.attempt}":
        return Action(Act.MOVE, f"{why}; there is no capacity where it was", avoid=place if eager else "")
    there = {node.id for node in cluster.nodes}
    nodes = tuple(dict.fromkeys((*known.out, *(last.nodes if last is not None else ()))))
    same = {node.id for node in cluster.nodes if known.suspects.get(node.id) in ("", None, node.incarnation)}
    nodes = tuple(node_id for node_id in nodes if node_id in same)
    if nodes or there != set(look.nodes) or any(power != "up" for power in look.powers.values()):
        return Action(Act.REPAIR, why, nodes, last.at if last is not None else 0.0)
    return Action(Act.SUBMIT, why)


def _rests(task: TaskState, now: float) -> float:
    """For how many seconds it is still left alone. Machines that are taken away again and again are no fault of its
    own: it may get on between two of them, however short that is."""
    if task.recoveries and task.recoveries[-1].cause in (Cause.NODE, Cause.PREEMPTION):
        return 0.0
    vain = stuck(task, task.recoveries[-1].at if task.recoveries else now) - NO_PROGRESS
    if vain <= 0 or not task.recoveries:
        return 0.0
    return task.recoveries[-1].at + _RESTS_S[min(vain, len(_RESTS_S)) - 1] - now
