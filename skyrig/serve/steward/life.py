"""The life of one replica, as a pure function: what becomes of it by what is seen of its job and its probes."""

from __future__ import annotations

from attrs import evolve

from skyrig.launch.job import LOST_NODE, JobRecord, JobStatus
from skyrig.serve.spec import ServiceSpec
from skyrig.serve.state import ReplicaStatus
from skyrig.serve.steward.memory import Held
from skyrig.serve.steward.world import World

SETTLE_S = 1.0
"""How long a replica that takes no new requests is kept at least: the balancer may just have given it one."""


def observed(held: Held, spec: ServiceSpec, world: World, patience_s: float) -> Held:
    """What `held` is now. One that shuts down waits `patience_s` for its last answers, and no longer."""
    if held.freed or not held.nodes:
        return held
    if (why := world.refused.get(held.id)) is not None:
        return evolve(ended(held, ReplicaStatus.FAILED, why, world.now), freed=True)
    job = world.jobs.get(held.id) if world.jobs is not None else None
    if job is not None and job.status.ended:
        return evolve(_after(held, job, world.now), freed=True)
    if held.cut:
        return evolve(held, freed=not held.port)  # without a port nothing of it was ever started
    if gone := [each for each in held.nodes if all(node.id != each for node in world.nodes)]:
        return ended(held, ReplicaStatus.PREEMPTED, f"the cluster has no node {', '.join(gone)} any more", world.now)
    if held.status is ReplicaStatus.SHUTTING_DOWN:
        return evolve(held, cut=_is_drained(held, world, patience_s))
    return _probed(held, spec, world, job)


def ended(held: Held, status: ReplicaStatus, reason: str, now: float) -> Held:
    """`held` come to its end as `status`, and what still runs of it to be ended too."""
    if not held.live:  # how it ended is known already, or it was to
        return evolve(held, cut=True, ended_at=held.ended_at or now)
    return evolve(held, status=status, reason=reason, ended_at=now, cut=True)


def retired(held: Held, now: float) -> Held:
    """`held` that is wanted no more: once READY it gives what it is asked for back first."""
    calm = held.ready or held.status is ReplicaStatus.NOT_READY
    return evolve(held, status=ReplicaStatus.SHUTTING_DOWN, drain_at=now, cut=not calm, reason="")


def _after(held: Held, job: JobRecord, now: float) -> Held:
    """`held` whose job has ended."""
    if job.exit_code == LOST_NODE and job.reason.startswith("lost node"):
        return ended(held, ReplicaStatus.PREEMPTED, job.reason, now)
    why = job.reason or "what it runs ended, with code 0"
    return ended(held, ReplicaStatus.FAILED, f"setup: {why}" if job.status is JobStatus.FAILED_SETUP else why, now)


def _is_drained(held: Held, world: World, patience_s: float) -> bool:
    """Whether nobody waits for an answer of `held` any more, or for longer than anybody may."""
    since = world.now - held.drain_at
    if since >= patience_s:
        return True
    return since >= SETTLE_S and world.flights is not None and not world.flights.get(held.id, 0)


def _probed(held: Held, spec: ServiceSpec, world: World, job: JobRecord | None) -> Held:
    answer, now, probe = world.answers.get(held.id), world.now, spec.probe
    if (lost := world.lost(held.nodes)) and not (answer is not None and answer.good):
        return ended(held, ReplicaStatus.PREEMPTED, f"lost node {', '.join(lost)}: it answers no more", now)
    if answer is None:
        return held
    if answer.good:
        return evolve(held, status=ReplicaStatus.READY, ready_at=held.ready_at or now, bad_at=0.0, reason="")
    what = f"no good answer from {probe.path}: {answer.why}"
    if held.status is ReplicaStatus.STARTING:
        began = job.started_at if job is not None else 0.0
        if began and now - max(began, held.begun_at) > probe.initial_delay_s:
            late = f"{what} (not one within {probe.initial_delay_s:g} s)"
            return ended(held, ReplicaStatus.FAILED_INITIAL_DELAY, late, now)
        return evolve(held, reason=what)
    if held.ready:
        return evolve(held, status=ReplicaStatus.NOT_READY, bad_at=now, reason=what)
    if now - held.bad_at > probe.patience_s and all(map(world.usable, held.nodes)):
        return ended(held, ReplicaStatus.FAILED_PROBING, f"{what} (for {probe.patience_s:g} s)", now)
    return evolve(held, reason=what)
