"""Whether a cluster answers, and which power it is in: its description held against its nodes, without the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import asdict, evolve, field, frozen

from skyrig.cluster.autostop import shown_ttl
from skyrig.cluster.description import ClusterDescription, Node
from skyrig.fleet.deadline import timeout
from skyrig.stack import autostopped, cordoned, described, endpoints, lock, powers

PROBE_S = 3.0
"""How long a node may take to say that it is an SSH server, in seconds."""

PROXIED_S = 10.0
"""The same where a command leads there, which has to start and to log in somewhere first."""


@frozen
class NodeStatus:
    """One node: `name` is its id, `status` UP, STOPPED (on purpose, also by itself) or DOWN; `spot` says that its cloud
    may take it back; `cordoned` is why no job comes to it any more, "" where jobs do."""

    rank: int
    name: str
    host: str
    port: int
    status: str
    spot: bool = False
    cordoned: str = ""

    def to_json(self) -> dict[str, Any]:
        """One of `nodes` in `status --json`."""
        return asdict(self)


@frozen
class ClusterStatus:
    """One cluster as `status` shows it; `status` is INIT, UP, STOPPED (every node is), DEGRADED (a node is not up) or
    DOWN (nothing is there). `hourly_cost` in USD of all nodes; `autostop` and `ttl` are the objects of `status --json`,
    None where none is set; `reason` says why a cluster is off or down by itself; `endpoints` are HOST:PORT by port or
    range; `owner` is the service or managed job that it was made for, or carries."""

    name: str
    status: str
    cloud: str = ""
    region: str = ""
    zone: str = ""
    nodes: tuple[NodeStatus, ...] = ()
    hourly_cost: float = 0.0
    isolation: str = ""
    autostop: dict[str, Any] | None = None
    ttl: dict[str, Any] | None = None
    reason: str = ""
    endpoints: Mapping[str, str] = field(factory=dict)
    owner: str = ""

    def to_json(self) -> dict[str, Any]:
        """The object of `status --json`."""
        return {
            "name": self.name,
            "stack": self.name,
            "status": self.status,
            "cloud": self.cloud,
            "region": self.region,
            "zone": self.zone,
            "isolation": self.isolation,
            "nodes": [node.to_json() for node in self.nodes],
            "hourly_cost": self.hourly_cost,
            "autostop": self.autostop,
            "ttl": self.ttl,
            "reason": self.reason,
            "owner": self.owner,
            "endpoints": dict(self.endpoints),
        }


def of(stacks: list[str]) -> list[ClusterStatus]:
    """Status of each stack, all nodes asked at once."""
    return asyncio.run(_of(stacks))


def stopped(cluster: ClusterDescription) -> list[str]:
    """Ids of the nodes that are stopped now, in rank order: by what the nodes themselves are (one may have stopped
    itself)."""
    power = powers.of(cluster)
    return [node.id for node in cluster.nodes if power[node.id] == "stopped"]


def is_stopped(cluster: ClusterDescription) -> bool:
    """Whether every node is stopped."""
    return len(stopped(cluster)) == len(cluster.nodes)


async def _of(stacks: list[str]) -> list[ClusterStatus]:
    descriptions = [described.describe(stack) for stack in stacks]
    return list(await asyncio.gather(*(_cluster(*pair) for pair in zip(stacks, descriptions, strict=True))))


async def _cluster(stack: str, described_as: ClusterDescription | None) -> ClusterStatus:
    if described_as is None:
        return ClusterStatus(stack, "INIT" if lock.is_held(stack) else "DOWN", reason=_reason(stack))
    power = await asyncio.to_thread(powers.of, described_as)
    probes: dict[str, asyncio.Task[bool]] = {}
    nodes = tuple(
        await asyncio.gather(*(_node(described_as, node, power[node.id], probes) for node in described_as.nodes))
    )
    kept_away = cordoned.of(described_as)
    nodes = tuple(
        evolve(node, cordoned=kept_away[node.name].reason) if node.name in kept_away else node for node in nodes
    )
    note = autostopped.note(described_as)
    return ClusterStatus(
        name=stack,
        status=_word(described_as, nodes, power),
        cloud=described_as.cloud,
        region=described_as.region,
        zone=described_as.zone,
        nodes=nodes,
        hourly_cost=described_as.hourly_cost,
        isolation=described_as.isolation,
        autostop=note.shown(time.time()) if note is not None else None,
        ttl=shown_ttl(note) if note is not None else None,
        reason=_reason(stack, described_as),
        endpoints=endpoints.shown(endpoints.of(described_as)),
    )


def _reason(stack: str, cluster: ClusterDescription | None = None) -> str:
    """Why a cluster, or the one that was there last, is off or down by its own doing; "" where it is not."""
    left = autostopped.left(stack)
    if left is None or not left.acted_at:
        return ""
    cluster = cluster or described.last(stack)
    said = autostopped.acted(cluster) if cluster is not None else None
    return said.told if said is not None else ""


def _word(cluster: ClusterDescription, nodes: Iterable[NodeStatus], power: Mapping[str, str]) -> str:
    """The status of a cluster. One on a cloud whose machines are all gone is down, whatever its state says; of a local
    one the engine has to ask."""
    if cluster.cloud != "local" and all(each in (powers.GONE, "ended") for each in power.values()):
        return "DOWN"
    said = {node.status for node in nodes}
    return said.pop() if said in ({"UP"}, {"STOPPED"}) else "DEGRADED"


async def _node(
    cluster: ClusterDescription, node: Node, power: str, probes: dict[str, asyncio.Task[bool]]
) -> NodeStatus:
    """A node behind a jump host cannot be asked from here: the host that it is behind stands for it, asked once for all
    by one of the `probes`."""
    if power != "up" and (power == "stopped" or cluster.cloud != "local"):
        off = "STOPPED" if power == "stopped" else "DOWN"
        return NodeStatus(node.rank, node.id, node.host, node.port, off, node.spot)
    asked = node
    while asked.jump:
        asked = cluster.way(asked.jump)
    if asked.id not in probes:
        probes[asked.id] = asyncio.ensure_future(
            _answers_by(asked.proxy) if asked.proxy else _answers(asked.host, asked.port, greets=bool(asked.host_key))
        )
    answers = await probes[asked.id]
    return NodeStatus(node.rank, node.id, node.host, node.port, "UP" if answers else "DOWN", node.spot)


async def _answers_by(proxy: Sequence[str]) -> bool:
    """Whether an SSH server greets at the other end of a command."""
    null = asyncio.subprocess.DEVNULL
    try:
        command = await asyncio.create_subprocess_exec(
            *proxy, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=null
        )
    except OSError:
        return False
    assert command.stdout is not None  # asked for above
    try:
        async with timeout(PROXIED_S):
            return (await command.stdout.readline()).startswith(b"SSH-2.0-")
    except (asyncio.TimeoutError, ValueError):
        return False
    finally:
        with suppress(ProcessLookupError):
            command.kill()
        await command.wait()


async def _answers(host: str, port: int, *, greets: bool) -> bool:
    """Whether something there answers within PROBE_S, and `greets` as an SSH server."""
    try:
        async with timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return not greets or (await reader.readline()).startswith(b"SSH-2.0-")
            finally:
                writer.close()
    except (OSError, asyncio.TimeoutError, ValueError):
        return False
