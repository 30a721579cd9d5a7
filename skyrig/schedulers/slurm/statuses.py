"""From what a login node tells of a job to its record: pure, and the same for queue, logs and cancel."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from skyrig.launch.job import CANCELLED, LOST_NODE, Cause, JobRecord, JobStatus

_WAITS = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "CONFIGURING")
_RUNS = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")

_ENDS: Mapping[str, tuple[JobStatus, int, Cause, str]] = {
    "COMPLETED": (JobStatus.SUCCEEDED, 0, Cause.NONE, ""),
    "TIMEOUT": (JobStatus.FAILED, 128 + 15, Cause.SURROUNDINGS, "its time at Slurm was over (TIMEOUT)"),
    "DEADLINE": (JobStatus.FAILED, 128 + 15, Cause.SURROUNDINGS, "its deadline at Slurm has passed (DEADLINE)"),
    "NODE_FAIL": (JobStatus.FAILED, LOST_NODE, Cause.NODE, "lost node: Slurm gave a node of it up (NODE_FAIL)"),
    "BOOT_FAIL": (JobStatus.FAILED, LOST_NODE, Cause.NODE, "lost node: a node of it did not boot (BOOT_FAIL)"),
    "PREEMPTED": (JobStatus.FAILED, LOST_NODE, Cause.PREEMPTION, "Slurm preempted it (PREEMPTED)"),
    "OUT_OF_MEMORY": (JobStatus.FAILED, 128 + 9, Cause.SCRIPT, "it used more memory than it had (OUT_OF_MEMORY)"),
    "GONE": (JobStatus.FAILED, LOST_NODE, Cause.NODE, "Slurm knows it no more, and it left no word of its end"),
}
"""What each of Slurm's ends means where the job itself left no word."""


def record(facts: Mapping[str, Any]) -> JobRecord:
    """The record of one job."""
    job, state, slurm = facts["job"], facts["state"] or {}, facts["slurm"]
    begun = JobRecord(
        id=int(facts["id"]),
        uid=str(facts["uid"]),
        name=str(job["name"]),
        status=JobStatus.PENDING,
        num_nodes=int(job["num_nodes"]),
        submitted_at=float(job["submitted_at"]),
        user=str(job["user"]),
        key=str(job["key"]),
        restarts=int(slurm.get("restarts") or state.get("attempt") or 0),
    )
    placed = evolve(begun, nodes=tuple(state.get("nodes", ())), cluster=tuple(state.get("nodes", ())))
    placed = evolve(placed, started_at=float(state.get("at", 0.0)))
    if slurm["state"] in _WAITS:
        return evolve(begun, reason=_waits(slurm, begun.restarts))
    result = facts["result"]
    if result is not None and result["attempt"] >= state.get("attempt", 0):
        return _with_result(placed, result)
    if slurm["state"] in _RUNS:
        setting_up = state.get("phase") != "run" or state.get("attempt", 0) < begun.restarts
        return evolve(placed, status=JobStatus.SETTING_UP if setting_up else JobStatus.RUNNING)
    return _without_result(placed, facts)


def _waits(slurm: Mapping[str, Any], restarts: int) -> str:
    """Why a job waits, in Slurm's word."""
    why = f"Slurm: {slurm.get('reason') or slurm['state']}"
    return f"begins anew ({restarts}. time); {why}" if restarts else why


def _with_result(placed: JobRecord, result: Mapping[str, Any]) -> JobRecord:
    return evolve(
        placed,
        status=JobStatus(result["status"]),
        ended_at=float(result["at"]),
        exit_codes=tuple(result["codes"]),
        exit_code=int(result["code"]),
        culprit=int(result["culprit"]),
        reason=str(result["reason"]),
        cause=Cause(result["cause"]),
    )


def _without_result(placed: JobRecord, facts: Mapping[str, Any]) -> JobRecord:
    """A job that was ended from outside, or whose batch step died."""
    slurm, told = facts["slurm"], facts["told"] or {}
    name = str(slurm["state"])
    if name == "GONE" and told.get("state"):
        name = str(told["state"])
    ended = evolve(placed, ended_at=float(told.get("at") or _moment(slurm.get("end")) or placed.submitted_at))
    lost = (-1,) * placed.num_nodes
    if facts["cancelled"] is not None or name == "CANCELLED":
        reason = facts["cancelled"] or "cancelled at Slurm"
        return evolve(ended, status=JobStatus.CANCELLED, exit_code=CANCELLED, reason=reason, exit_codes=lost)
    if name in _ENDS:
        status, code, cause, reason = _ENDS[name]
        codes = (0,) * placed.num_nodes if status is JobStatus.SUCCEEDED else lost
        return evolve(ended, status=status, exit_code=code, cause=cause, reason=reason, exit_codes=codes)
    code = _code(str(slurm.get("exit") or ""))
    reason = f"its batch step ended with code {code} and left no word ({name}); batch.out on the cluster has more"
    cause = Cause.SURROUNDINGS
    return evolve(ended, status=JobStatus.FAILED, exit_code=code, cause=cause, reason=reason, exit_codes=lost)


def _code(text: str) -> int:
    """A code from Slurm's CODE:SIGNAL, or the raw wait status that squeue prints."""
    first, _, signum = text.partition(":")
    if signum.isdigit() and int(signum):
        return 128 + int(signum)
    if not first.isdigit():
        return 1
    number = int(first)
    return (number >> 8 or 128 + (number & 127)) if number > 255 else number or 1


def _moment(text: str | None) -> float:
    """Seconds since the epoch of Slurm's local time; 0.0 where it names none."""
    try:
        return time.mktime(time.strptime(text or "", "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0.0
