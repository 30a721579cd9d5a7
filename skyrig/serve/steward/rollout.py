"""Which replicas there shall be, as a pure function: of which version, and which of them go. It keeps as many READY as
are wanted for as long as another node can be had."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from skyrig.serve.spec import Update
from skyrig.serve.state import ReplicaStatus, UpdateState
from skyrig.serve.steward.life import retired
from skyrig.serve.steward.memory import Held, Memory
from skyrig.serve.steward.world import World

SURGE_S = 60.0
"""How long a rolling update waits for a node more before it goes on without one."""

WATCHED_SURGE_S = 900.0
"""The same while somebody is there who can make one: a large machine takes minutes."""

BLIP_S = 30.0
"""How long a replica of an older version may not be ready before it is no loss."""


def number(memory: Memory) -> int:
    """How many replicas there shall be."""
    spec = memory.spec
    if memory.failed or memory.stopping:
        return 0
    if spec.entrance.direct:
        return min(1, memory.scale.number)
    return memory.scale.number + (spec.scaling.overprovision if memory.scale.number else 0)


def live(memory: Memory, *, target: bool) -> list[Held]:
    """Replicas that serve or may come to: of the version that shall be, or of all others."""
    return [each for each in memory.replicas if each.live and (each.version == memory.target) is target]


def is_apart(memory: Memory) -> bool:
    """Whether replicas of the version that shall be get no requests yet, until all of them can."""
    is_blue = memory.update is UpdateState.UNDER_WAY and memory.spec.update is Update.BLUE_GREEN
    return is_blue and not memory.switched and not memory.spec.entrance.direct


def serving(memory: Memory) -> list[Held]:
    """The replicas that the balancer gives requests to."""
    apart = is_apart(memory)
    return [each for each in memory.replicas if each.ready and not (apart and each.version == memory.target)]


def is_bare(memory: Memory, world: World) -> bool:
    """Whether the head, which is never taken away, carries none of as many replicas as are wanted: then another one is
    started there, and one goes elsewhere."""
    wanted = number(memory)
    ready = [each for each in live(memory, target=True) if each.ready]
    enough = bool(wanted) and len(ready) >= wanted and world.usable(world.head)
    return enough and all(world.head not in each.nodes for each in ready)


def moved(memory: Memory, world: World) -> Memory:
    """The next step towards what shall be: replicas that are wanted are there, those that are not are going."""
    if memory.failed or memory.stopping:
        return without(memory, [each for each in memory.replicas if each.live], world.now)
    if not live(memory, target=False):
        return _filled(memory, world)
    if memory.spec.entrance.direct:
        return _replaced(memory, world)
    if memory.update is UpdateState.UNDER_WAY and memory.spec.update is Update.BLUE_GREEN:
        return _switched(memory, world)
    return _rolled(memory, world)


def _filled(memory: Memory, world: World) -> Memory:
    """No other version is there."""
    wanted, have = number(memory), live(memory, target=True)
    if is_bare(memory, world) and len(have) <= wanted + 1:
        if len(have) == wanted:
            return _with(memory, 1, memory.target, world)
        if not all(each.ready for each in have):
            return memory
    if len(have) <= wanted:
        return _with(memory, wanted - len(have), memory.target, world)
    surplus = sorted(have, key=lambda each: _worth(each, world))[: len(have) - wanted]
    return without(memory, surplus, world.now)


def _replaced(memory: Memory, world: World) -> Memory:
    """Without a balancer there is one place alone: the old one goes first."""
    return _filled(without(memory, live(memory, target=False), world.now), world)


def _rolled(memory: Memory, world: World) -> Memory:
    """One after the other."""
    old = live(memory, target=False)
    memory = without(memory, [each for each in old if _is_no_loss(each, world)], world.now)
    old, new, wanted = live(memory, target=False), live(memory, target=True), number(memory)
    spare = max(0, sum(each.ready for each in old + new) - wanted)
    memory = without(memory, [each for each in _leaving(old, world) if each.ready][:spare], world.now)
    old = live(memory, target=False)
    room = min(wanted - len(new), wanted + 1 - len(new) - len(old))
    memory = _with(memory, max(0, room), memory.target, world)
    return _surgeless(memory, world) if _is_stuck(memory, world) else memory


def _is_stuck(memory: Memory, world: World) -> bool:
    """Whether the next one has waited for a node for so long that an old one is to make room for it."""
    waiting = [each for each in live(memory, target=True) if not each.nodes]
    patience = 0.0 if memory.surgeless else WATCHED_SURGE_S if world.watched else SURGE_S
    since = max((each.created_at for each in waiting), default=world.now)
    paused = world.now < memory.version(memory.target).hold_until
    going = any(each.status is ReplicaStatus.SHUTTING_DOWN and not each.freed for each in memory.replicas)
    starting = any(each.live and not each.ready and each.nodes for each in live(memory, target=True))
    return bool(waiting) and not (paused or going or starting) and world.now - since >= patience


def _surgeless(memory: Memory, world: World) -> Memory:
    """One READY less for a while, where there are others; the only one stays."""
    old, wanted = live(memory, target=False), number(memory)
    ready = sum(each.ready for each in memory.replicas)
    if wanted < 2 or ready < wanted:
        only = "the only replica stays until another one is ready, for which a node more is needed"
        return evolve(memory, update_reason=only if wanted < 2 else "waits until all replicas are ready")
    return evolve(without(memory, list(_leaving(old, world))[:1], world.now), surgeless=True, update_reason="")


def _switched(memory: Memory, world: World) -> Memory:
    """All at once."""
    wanted, new = number(memory), live(memory, target=True)
    if memory.switched or sum(each.ready for each in new) >= wanted:
        return without(evolve(memory, switched=True), live(memory, target=False), world.now)
    memory = _with(memory, wanted - len(new), memory.target, world)
    if not memory.previous:  # the older ones were never ready, so nothing is lost with those that are not
        return without(memory, [each for each in live(memory, target=False) if not each.ready], world.now)
    return _with(memory, wanted - len(live(memory, target=False)), memory.previous, world)


def _leaving(old: Iterable[Held], world: World) -> list[Held]:
    """In which order older ones go: first the one on the head, so that the last node that gets free is another one."""
    ranks = {node.id: rank for rank, node in enumerate(world.nodes)}
    return sorted(
        old, key=lambda each: (min((ranks.get(node, len(ranks)) for node in each.nodes), default=-1), each.id)
    )


def _is_no_loss(held: Held, world: World) -> bool:
    """Whether an older replica is not worth waiting for."""
    if held.status is ReplicaStatus.NOT_READY:
        return world.now - held.bad_at >= BLIP_S
    return not held.ready


def _worth(held: Held, world: World) -> tuple[int, bool, int]:
    """What goes first where there are too many: what is furthest from being ready, then what is not on the head, then
    the newest."""
    order = (ReplicaStatus.PENDING, ReplicaStatus.STARTING, ReplicaStatus.NOT_READY, ReplicaStatus.READY)
    return (order.index(held.status), world.head in held.nodes, -held.id)


def _with(memory: Memory, count: int, version: int, world: World) -> Memory:
    """`count` replicas more; their ids were nobody's before."""
    if count <= 0:
        return memory
    ids = range(memory.next_id, memory.next_id + count)
    made = tuple(Held(each, version, created_at=world.now) for each in ids)
    return evolve(memory, next_id=memory.next_id + count, replicas=memory.replicas + made)


def without(memory: Memory, going: Iterable[Held], now: float) -> Memory:
    """`going` go; of one that never had a node nothing is left."""
    ids = {each.id for each in going}
    kept = [
        retired(each, now) if each.id in ids else each for each in memory.replicas if each.nodes or each.id not in ids
    ]
    return evolve(memory, replicas=tuple(kept))


def emptied(memory: Memory, version: int, now: float) -> Memory:
    """All replicas of `version` go at once: nobody asks them anything."""
    return evolve(
        memory,
        replicas=tuple(
            evolve(retired(each, now), cut=True) if each.version == version and each.live else each
            for each in memory.replicas
            if each.version != version or each.nodes or not each.live
        ),
    )
