"""From a job's objects on the cluster to its record: pure, and the same for queue, logs and cancel."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from skyrig.launch.job import LOST_NODE, Cause, JobRecord, JobStatus
from skyrig.schedulers.kubernetes import names

Thing = Mapping[str, Any]

INDEX = "batch.kubernetes.io/job-completion-index"
ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"

_TAKEN = {
    "PreemptionByScheduler": Cause.PREEMPTION,
    "PreemptionByKubeScheduler": Cause.PREEMPTION,
    "EvictionByEvictionAPI": Cause.PREEMPTION,
    "TerminationByKubelet": Cause.NODE,
    "DeletionByTaintManager": Cause.NODE,
    "DeletionByPodGC": Cause.NODE,
}
"""Why Kubernetes takes a pod away (its condition DisruptionTarget)."""


@frozen
class End:
    """How one rank ended: its exit code, the moment, whether it was told to end, and what it was at (setup or run)."""

    code: int
    at: float
    told: bool
    phase: str


def record(workload: Thing, pods: Sequence[Thing]) -> JobRecord:
    """The record of one job, out of its JobSet or Job and its pods."""
    meta = workload["metadata"]
    said = meta.get("annotations") or {}
    nodes = int(said.get(names.NODES, 1))
    restarts = int((workload.get("status") or {}).get("restarts") or 0)
    by_rank = ranked(pods, restarts)
    begun = JobRecord(
        id=int(meta["labels"][names.JOB]),
        uid=str(meta["uid"]),
        name=str(said.get(names.NAME, meta["name"])),
        status=JobStatus.PENDING,
        num_nodes=nodes,
        submitted_at=float(said.get(names.SUBMITTED) or moment(meta.get("creationTimestamp"))),
        user=str(said.get(names.USER, "")),
        key=str(said.get(names.KEY, "")),
        restarts=restarts,
    )
    finished = _finished(workload)
    placed = _placed(begun, by_rank)
    if finished is None:
        return _unfinished(placed, workload, by_rank)
    return _ended(placed, finished, by_rank)


def ranked(pods: Sequence[Thing], restarts: int = 0) -> dict[int, Thing]:
    """The pods of the newest attempt by rank; of several of one rank the newest."""
    found: dict[int, Thing] = {}
    for pod in sorted(pods, key=lambda each: str(each["metadata"].get("creationTimestamp", ""))):
        labels = pod["metadata"].get("labels") or {}
        rank = labels.get(INDEX, (pod["metadata"].get("annotations") or {}).get(INDEX))
        if rank is not None and int(labels.get(ATTEMPT, restarts)) == restarts:
            found[int(rank)] = pod
    return found


def end(pod: Thing) -> End | None:
    """How a pod's node ended; None while it goes on."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated")
        if ended is None or container["name"] != "node":
            continue
        known = End(int(ended.get("exitCode", 1)), moment(ended.get("finishedAt")), False, "run")
        try:
            said = json.loads(ended.get("message") or "")
            return End(known.code, float(said["at"]), bool(said["told"]), str(said["phase"]))
        except (ValueError, KeyError, TypeError):  # it left no word, or another program's
            return known
    return None


def moment(text: Any) -> float:
    """Seconds since the epoch of Kubernetes' time; 0.0 where there is none."""
    if not text:
        return 0.0
    return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()


def _placed(begun: JobRecord, by_rank: Mapping[int, Thing]) -> JobRecord:
    """With the nodes that its ranks have, and when the first of them began."""
    began = [moment((pod.get("status") or {}).get("startTime")) for pod in by_rank.values()]
    on = tuple(str(by_rank[rank]["spec"].get("nodeName", "")) if rank in by_rank else ""
               for rank in range(begun.num_nodes))  # fmt: skip
    if not any(on):
        return begun
    named = tuple(name or "?" for name in on)
    return evolve(begun, nodes=named, cluster=named, started_at=min((at for at in began if at), default=0.0))


def _finished(workload: Thing) -> tuple[bool, Thing] | None:
    """(whether it went well, the condition that says so); None where it has not ended."""
    for each in (workload.get("status") or {}).get("conditions") or ():
        if each.get("status") == "True" and each.get("type") in ("Completed", "Complete", "Failed"):
            return each["type"] != "Failed", each
    return None


def _unfinished(placed: JobRecord, workload: Thing, by_rank: Mapping[int, Thing]) -> JobRecord:
    phases = [str((pod.get("status") or {}).get("phase")) for pod in by_rank.values()]
    again = f"begins anew ({placed.restarts}. time)" if placed.restarts else ""
    over = "Failed" in phases or "Succeeded" in phases  # the others may be gone already
    if over or phases.count("Running") == placed.num_nodes:
        return evolve(placed, status=JobStatus.RUNNING)
    why = _why(workload, by_rank)
    reason = "; ".join(part for part in (again, why) if part)
    return evolve(placed, nodes=(), started_at=0.0, reason=reason)


def _why(workload: Thing, by_rank: Mapping[int, Thing]) -> str:
    """Why a job waits, in Kubernetes' words."""
    if workload["spec"].get("suspend"):
        queue = (workload["metadata"].get("labels") or {}).get("kueue.x-k8s.io/queue-name")
        return f"waits for the queue {queue}" if queue else "suspended: its submission was cut off, or somebody did it"
    for _, pod in sorted(by_rank.items()):
        status = pod.get("status") or {}
        for each in status.get("conditions") or ():
            if each.get("type") == "PodScheduled" and each.get("status") == "False":
                return f"Kubernetes: {each.get('message') or each.get('reason')}"
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                said = str(waiting.get("message") or "").splitlines()
                return f"Kubernetes: {waiting['reason']}{f': {said[0]}' if said else ''}"
    return "Kubernetes: its pods are being made"


def _ended(placed: JobRecord, finished: tuple[bool, Thing], by_rank: Mapping[int, Thing]) -> JobRecord:
    well, condition = finished
    ended = evolve(placed, ended_at=moment(condition.get("lastTransitionTime")))
    if well:
        codes = (0,) * placed.num_nodes
        return evolve(ended, status=JobStatus.SUCCEEDED, exit_code=0, exit_codes=codes)
    ends = {rank: found for rank, pod in by_rank.items() if (found := end(pod)) is not None}
    codes = tuple(ends[rank].code if rank in ends else -1 for rank in range(placed.num_nodes))
    ended = evolve(ended, exit_codes=codes)
    own = sorted((each.at, rank) for rank, each in ends.items() if each.code and not each.told)
    taken = _taken(by_rank, {rank for _, rank in own})
    if own:
        return _by_rank(ended, own[0][1], ends[own[0][1]])
    if taken is not None:
        return evolve(ended, status=JobStatus.FAILED, exit_code=LOST_NODE, cause=taken[0], reason=taken[1])
    said = str(condition.get("message") or condition.get("reason") or "").splitlines()
    reason = f"Kubernetes: {said[0] if said else 'the job failed'}"
    return evolve(ended, status=JobStatus.FAILED, exit_code=1, cause=Cause.SURROUNDINGS, reason=reason)


def _by_rank(ended: JobRecord, rank: int, last: End) -> JobRecord:
    """A job that failed by the doing of a rank."""
    many, where = ended.num_nodes > 1, ended.nodes[rank] if rank < len(ended.nodes) else "?"
    if last.phase == "setup":
        reason = f"setup exited with code {last.code}" + (f" on {where}" if many else "")
        return evolve(ended, status=JobStatus.FAILED_SETUP, exit_code=last.code, culprit=rank, reason=reason,
                      cause=Cause.SCRIPT)  # fmt: skip
    reason = f"rank {rank} on {where} exited with code {last.code}" if many else f"exit code {last.code}"
    cause = Cause.SCRIPT
    return evolve(ended, status=JobStatus.FAILED, exit_code=last.code, culprit=rank, reason=reason, cause=cause)


def _taken(by_rank: Mapping[int, Thing], failed: set[int]) -> tuple[Cause, str] | None:
    """Why a pod that did not fail by itself was taken away, where one was."""
    for rank, pod in sorted(by_rank.items()):
        for each in (pod.get("status") or {}).get("conditions") or ():
            if each.get("type") == "DisruptionTarget" and each.get("status") == "True" and rank not in failed:
                reason = str(each.get("reason"))
                return _TAKEN.get(reason, Cause.NODE), f"lost node: Kubernetes took rank {rank} away ({reason})"
    return None
