"""What a steward tells of its service, as a pure function of what it knows and sees."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from skyrig.serve.state import Load, Replica, ReplicaStatus, ServiceStatus, Snapshot
from skyrig.serve.steward import rollout
from skyrig.serve.steward.memory import Held, Memory
from skyrig.serve.steward.wanting import wanted
from skyrig.serve.steward.world import World


@frozen
class Front:
    """What is in front of the replicas: `loads` of each by its id and in `total`; `problem` is why it does not do what
    it shall, "" where it does. With `closed` nobody can ask anything at the endpoint."""

    total: Load = field(factory=Load)
    loads: Mapping[int, Load] = field(factory=dict)
    problem: str = ""
    closed: bool = False


def snapshot(memory: Memory, world: World, front: Front, addresses: Mapping[int, str], trouble: str) -> Snapshot:
    """The service as it is told. `addresses` are the replicas', `trouble` what keeps the steward from its work."""
    serving = rollout.serving(memory)
    asks = wanted(memory, world)
    short = asks.nodes > sum(not node.lost for node in world.nodes)
    unplaced = {held.id for held in memory.replicas if short and held.live and not held.nodes}
    return Snapshot(
        name=memory.name,
        status=status(memory, closed=front.closed),
        version=memory.target,
        serving=max((held.version for held in serving), default=0),
        port=_port(memory, serving),
        balancer="direct" if memory.spec.entrance.direct else "haproxy",
        since=memory.ready_at,
        reason=memory.failed or front.problem or trouble,
        replicas=tuple(_replica(held, unplaced, front, addresses.get(held.id, "")) for held in memory.replicas),
        wanted=asks,
        load=front.total,
        update=memory.update,
        update_reason=memory.update_reason,
        at=world.now,
    )


def status(memory: Memory, *, closed: bool = False) -> ServiceStatus:
    """The service's state in one word. It is not ready with an endpoint that is `closed`."""
    if memory.stopping:
        return ServiceStatus.SHUTTING_DOWN
    if memory.failed:
        return ServiceStatus.FAILED
    if rollout.serving(memory) and not closed:
        return ServiceStatus.READY
    if any(held.live for held in memory.replicas):
        return ServiceStatus.REPLICA_INIT
    return ServiceStatus.NO_REPLICA


def _port(memory: Memory, serving: list[Held]) -> int:
    entrance = memory.spec.entrance
    if not entrance.direct:
        return entrance.port
    return next((held.port for held in serving), memory.spec.port)


def _replica(held: Held, unplaced: set[int], front: Front, address: str) -> Replica:
    return Replica(
        id=held.id,
        version=held.version,
        status=ReplicaStatus.PROVISIONING if held.id in unplaced else held.status,
        nodes=held.nodes,
        address=address,
        job=held.job,
        created_at=held.created_at,
        ready_at=held.ready_at,
        ended_at=held.ended_at,
        reason=held.reason,
        last_lines=held.last_lines,
        load=front.loads.get(held.id, Load()),
    )
