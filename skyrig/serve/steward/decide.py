"""What a steward knows next, as a pure function of what it knows and sees. All that it does follows from that."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from skyrig.serve.state import ReplicaStatus, UpdateState
from skyrig.serve.steward import rollout
from skyrig.serve.steward.life import observed
from skyrig.serve.steward.memory import Held, Memory, Version
from skyrig.serve.steward.scaling import scaled
from skyrig.serve.steward.world import World

TRIES = 3
"""Replicas of a version that may end before it is given up, where none was ever ready."""

LONGEST_PAUSE_S = 60.0
"""Longest pause before another one is started, in seconds; the first is one second, each is twice the one before."""

STEADY_S = 60.0
"""How long a replica must have been ready for its end to be the first in a row again."""

STOP_PATIENCE_S = 10.0
"""How long answers are waited for where the whole service ends."""

DOUBT_S = 6.0
"""How long nothing is started on a node that took a replica along: that is how long it may take to answer."""

_KEPT = 5
"""Replicas that failed and are still told of: the last ones."""


def step(memory: Memory, world: World) -> Memory:
    """What is to be known next."""
    memory = _observed(memory, world)
    memory = _judged(memory, world.now)
    scaling = memory.spec.scaling
    if not (memory.failed or memory.stopping):
        memory = evolve(memory, scale=scaled(memory.scale, scaling, world.need, world.now))
    memory = rollout.moved(memory, world)
    memory = _placed(memory, world)
    memory = evolve(memory, lost=tuple(node.id for node in world.nodes if node.lost))
    return _settled(_pruned(memory), world)


def _observed(memory: Memory, world: World) -> Memory:
    """What has become of each replica, and what that says of its version."""
    for before in memory.replicas:
        spec = memory.version(before.version).spec
        patience = STOP_PATIENCE_S if memory.stopping else spec.entrance.stream_timeout_s
        after = observed(before, spec, world, patience)
        memory = memory.with_replica(before.id, _put(after))
        version = memory.version(after.version)
        if after.ready:
            memory = evolve(memory, ready_at=memory.ready_at or world.now)
            if not version.was_ready:
                memory = memory.with_version(evolve(version, was_ready=True))
        if before.live and after.status.ended and after.status is not ReplicaStatus.PREEMPTED:
            memory = memory.with_version(_blamed(version, after, world.now))
    return memory


def _put(held: Held) -> Callable[[Held], Held]:
    return lambda _: held


def _blamed(version: Version, held: Held, now: float) -> Version:
    """`version` after one of its replicas ended by itself."""
    was_steady = bool(held.ready_at) and now - held.ready_at >= STEADY_S
    streak = 1 if was_steady else version.streak + 1
    pause = min(LONGEST_PAUSE_S, 2.0 ** (streak - 1))
    return evolve(version, failures=version.failures + 1, streak=streak, hold_until=now + pause)


def _judged(memory: Memory, now: float) -> Memory:
    """A version that does not become ready is given up: the one before comes back, or the service has failed."""
    version, under_way = memory.version(memory.target), memory.update is UpdateState.UNDER_WAY
    if memory.failed or version.failures < TRIES or (version.was_ready and not under_way):
        return memory
    ends = [each for each in memory.replicas if each.version == version.number and each.status.ended]
    last = max(ends, key=_end, default=None)
    why = f"{version.failures} replicas of version {version.number} ended: {last.reason if last else 'see their logs'}"
    if not memory.previous:
        return evolve(memory, failed=why)
    apart = rollout.is_apart(memory)
    back = evolve(memory, target=memory.previous, previous=0, update=UpdateState.ROLLED_BACK, update_reason=why)
    back = back.with_version(evolve(back.version(back.target), failures=0, streak=0, hold_until=0.0))
    return rollout.emptied(back, version.number, now) if apart else back


def _end(held: Held) -> tuple[float, int]:
    return held.ended_at, held.id


def _placed(memory: Memory, world: World) -> Memory:
    """Replicas without nodes get those that are free, lowest ranks first."""
    for held in [each for each in memory.replicas if each.live and not each.nodes]:
        version = memory.version(held.version)
        nodes = _room(memory, world, version)
        if nodes and world.now >= version.hold_until:
            begun = evolve(held, nodes=nodes, status=ReplicaStatus.STARTING, begun_at=world.now)
            memory = memory.with_replica(held.id, _put(begun))
    return memory


def _room(memory: Memory, world: World, version: Version) -> tuple[str, ...]:
    """Nodes for a replica of `version`; none where too few are free."""
    taken = {node for each in memory.replicas if each.placed or _is_doubted(each, world) for node in each.nodes}
    free = [node.id for node in world.nodes if node.id not in taken and not (node.lost or node.silent)]
    wanted = version.spec.nodes_each
    if len(free) < wanted or (version.spec.entrance.direct and free[0] != world.head):
        return ()
    return tuple(free[:wanted])


def _is_doubted(held: Held, world: World) -> bool:
    """Whether the nodes of `held` were just lost, and have had no time to answer."""
    return held.status is ReplicaStatus.PREEMPTED and world.now - held.ended_at < DOUBT_S


def _pruned(memory: Memory) -> Memory:
    """Without replicas that nothing is left of, but for the last that failed; without versions that nobody needs."""
    failed = sorted((each for each in memory.replicas if each.freed and each.status.ended), key=_end)[-_KEPT:]
    kept = tuple(each for each in memory.replicas if not each.freed or each in failed)
    used = {memory.target, memory.previous, *(each.version for each in kept)}
    return evolve(memory, replicas=kept, versions=tuple(each for each in memory.versions if each.number in used))


def _settled(memory: Memory, world: World) -> Memory:
    """An update is done when nothing is left of other versions, and all replicas are ready."""
    others = [each for each in memory.replicas if each.version != memory.target and not each.freed]
    ready = sum(each.ready for each in rollout.live(memory, target=True))
    if others or ready < rollout.number(memory):
        return memory
    if memory.update is UpdateState.UNDER_WAY:
        fresh = evolve(memory.version(memory.target), failures=0)
        done = evolve(memory, update=UpdateState.DONE, update_reason="", previous=0, surgeless=False)
        return evolve(done, switched=False).with_version(fresh)
    return evolve(memory, surgeless=False)
