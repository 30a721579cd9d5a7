"""What a service wants of whoever can make nodes and take them away, as a pure function."""

from __future__ import annotations

from skyrig.serve.spec import Update
from skyrig.serve.state import UpdateState, Wanted
from skyrig.serve.steward import rollout
from skyrig.serve.steward.memory import Held, Memory
from skyrig.serve.steward.world import World

WAITS_S = 60.0
"""How long a replica waits for a node that is not spot's before one on demand may be made for it."""


def wanted(memory: Memory, world: World) -> Wanted:
    """Nodes that are wanted, those that may go, and those that are lost."""
    if memory.failed:
        return Wanted(why=memory.failed, nothing=True)
    changing = bool(rollout.live(memory, target=False)) or memory.update is UpdateState.UNDER_WAY
    total = max(1, _needed(memory, changing=changing), _held(memory, world))
    going = () if changing else _going(memory, world, len(world.nodes) - total)
    number = rollout.number(memory)
    return Wanted(
        replicas=number,
        nodes=total,
        ondemand=min(total, _ondemand(memory, world)),
        why=_why(memory, number, total, changing=changing),
        going=going,
        lost=tuple(node.id for node in world.nodes if node.lost and node.id not in going),
    )


def _needed(memory: Memory, *, changing: bool) -> int:
    """Nodes for all replicas that there shall be, and during an update for those that stand beside them."""
    number, each = rollout.number(memory), memory.spec.nodes_each
    live = sum(_size(memory, held) for held in memory.replicas if held.live)
    if not changing or memory.spec.entrance.direct or not number:
        return max(number * each, live)
    others = rollout.live(memory, target=False)
    if memory.update is UpdateState.UNDER_WAY and memory.spec.update is Update.BLUE_GREEN:
        return number * each + sum(_size(memory, held) for held in others)
    return max((number + 1) * max([each, *(_size(memory, held) for held in others)]), live)


def _size(memory: Memory, held: Held) -> int:
    return memory.version(held.version).spec.nodes_each


def _held(memory: Memory, world: World) -> int:
    """Nodes that something is on, the head with them."""
    return len({node for held in memory.replicas if held.placed for node in held.nodes} | {world.head})


def _going(memory: Memory, world: World, count: int) -> tuple[str, ...]:
    """`count` nodes that hold nothing: lost ones first, then those of the highest ranks; never the head."""
    taken = {node for held in memory.replicas if held.placed for node in held.nodes}
    free = [(node.lost, rank, node.id) for rank, node in enumerate(world.nodes) if rank and node.id not in taken]
    return tuple(node for _, _, node in sorted(free, reverse=True)[: max(0, count)])


def _ondemand(memory: Memory, world: World) -> int:
    """Nodes that shall not be spot."""
    scaling, each = memory.spec.scaling, memory.spec.nodes_each
    waiting = [
        held for held in memory.replicas if held.live and not held.nodes and world.now - held.created_at > WAITS_S
    ]
    return each * (scaling.ondemand_base + (len(waiting) if scaling.dynamic_ondemand else 0))


def _why(memory: Memory, number: int, total: int, *, changing: bool) -> str:
    each = memory.spec.nodes_each
    size = "" if each == 1 else f" of {each} nodes"
    text = f"{number} replica{'' if number == 1 else 's'}{size}"
    if changing and total > number * each:
        return f"{text}, and {total - number * each} more for the update to version {memory.target}"
    return text
