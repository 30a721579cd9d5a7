"""What applying a service means for what is known of it, as a pure function."""

from __future__ import annotations

from attrs import evolve

from skyrig.serve.spec import ServiceSpec
from skyrig.serve.state import UpdateState
from skyrig.serve.steward import rollout
from skyrig.serve.steward.memory import Memory, Scale, Version


def is_same(memory: Memory | None, digest: str) -> bool:
    """Whether what is applied is what shall be already. What has failed is tried anew when it is applied again."""
    return memory is not None and not memory.failed and memory.version(memory.target).digest == digest


def applied(memory: Memory | None, spec: ServiceSpec, *, digest: str, body: str, uid: str, now: float) -> Memory:
    """What is known once `spec` is the service: the first version with `uid`, or one that takes over."""
    if memory is None:
        return Memory(uid, spec.name, 1, (Version(1, spec, digest, body),), Scale(spec.scaling.least))
    number = memory.newest + 1
    before = memory.version(memory.target)
    if rollout.is_apart(memory):  # nobody asks them anything, and nobody will
        memory = rollout.emptied(memory, before.number, now)
    version = Version(number, spec, digest, body)
    scale = Scale(min(max(memory.scale.number, spec.scaling.least), spec.scaling.most))
    fresh = evolve(memory, target=number, newest=number, versions=(*memory.versions, version), scale=scale, failed="")
    fresh = evolve(fresh, switched=False, surgeless=False, update_at=now, update_reason="")
    if body == before.body and not memory.failed and memory.update is not UpdateState.UNDER_WAY:
        return _adopted(fresh, before, version)
    had = bool(memory.ready_at) and not memory.failed
    previous = before.number if before.was_ready and not memory.failed else memory.previous if had else 0
    return evolve(fresh, previous=previous, update=UpdateState.UNDER_WAY if had else UpdateState.NONE)


def _adopted(memory: Memory, before: Version, version: Version) -> Memory:
    """Only what is in front of the replicas changes: they are those of the new version from now on."""
    told = evolve(before, number=version.number, spec=version.spec, digest=version.digest)
    kept = tuple(
        evolve(each, version=version.number) if each.version == before.number else each for each in memory.replicas
    )
    done = evolve(memory, replicas=kept, update=UpdateState.DONE if before.was_ready else UpdateState.NONE)
    return done.with_version(told)
