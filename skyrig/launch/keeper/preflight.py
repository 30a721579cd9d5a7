"""A preflight: whether nodes are fit for a job, found out by the keeper before the job's first process, or by itself.

All that is started on nodes ends with the session that started it: a preflight that is broken off, or whose keeper is
killed, leaves nothing there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve, frozen

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet.pool import Pool
from skyrig.launch.keeper import agents, meters, programs
from skyrig.launch.keeper.agents import Agent
from skyrig.launch.keeper.meters import Carried
from skyrig.launch.keeper.programs import Heard
from skyrig.preflight import clocks, transport
from skyrig.preflight.asked import Asked
from skyrig.preflight.clocks import Offset, Reading
from skyrig.preflight.findings import Findings
from skyrig.preflight.report import Report
from skyrig.preflight.verdict import Seen, judged

_LOOKS = 3
"""How often a clock is looked at: the quickest answer counts."""

_AGAIN = 5
"""How often a clock that seems to be off is looked at again."""

_NOTHING = Heard()

Say = Callable[[str], None]
"""Takes one line for the reader."""


@frozen
class Place:
    """Where a preflight happens: `nodes` of `cluster`, reached over `pool`; `is_shared` says why the network
    must be left alone ("": it need not), as it would disturb a job that runs there."""

    cluster: ClusterDescription
    nodes: tuple[Node, ...]
    pool: Pool
    is_shared: str = ""


async def run(place: Place, asked: Asked, say: Say) -> Report:
    """Look at the nodes, measure their network, and judge them. A node that does not answer is one that is bad."""
    began, at = time.monotonic(), time.time()
    seen = await _seen(place, asked, say)
    report = judged(place.cluster.name, [node.id for node in place.nodes], seen, asked)
    return evolve(report, at=at, took_s=round(time.monotonic() - began, 3))


async def _seen(place: Place, asked: Asked, say: Say) -> Seen:
    async with agents.started(place.pool, place.nodes, asked.answer_s) as (there, silent):
        found, failed = await _probed(there)
        left = {node_id: agent for node_id, agent in there.items() if node_id not in failed}
        offsets, gone = await _offsets(left, asked)
        seen = Seen(findings=found, silent={**failed, **silent, **gone}, offsets=offsets)
        if place.is_shared:
            say(f"preflight: the network is not measured: {place.is_shared}")
            return seen
        return await _measured(place, asked, there, seen, say)


async def _measured(place: Place, asked: Asked, there: Mapping[str, Agent], seen: Seen, say: Say) -> Seen:
    """With what the network carries. A node that falls silent meanwhile is left out, and the others measured again."""
    silent = dict(seen.silent)
    while True:
        nodes = [node.id for node in place.nodes if node.id in there and node.id not in silent]
        try:
            return await _carried(place, asked, there, evolve(seen, silent=silent), nodes, say)
        except NodeLost as error:
            silent[error.node_id] = error.message


async def _carried(
    place: Place, asked: Asked, there: Mapping[str, Agent], seen: Seen, nodes: Sequence[str], say: Say
) -> Seen:
    """By what fits the nodes: NCCL where they have accelerators and torch, else our own program."""

    def told(line: str) -> None:
        say(f"preflight: {line}")

    found = {node: seen.findings[node] for node in nodes if node in seen.findings}
    has_gpus = bool(found) and len(found) == len(nodes) and all(each.gpus for each in found.values())
    if asked.diagnose:
        seen = evolve(seen, ailing=await programs.diagnosed(there, found))
    if has_gpus and len(nodes) == 1 and found[nodes[0]].nccl_tests and asked.meter == "auto":
        inside = await programs.inside_by_tests(there[nodes[0]], found[nodes[0]], asked.sizes.ring)
        return evolve(seen, measured=inside)
    if nodes and (asked.meter == "torch" or (asked.meter == "auto" and has_gpus)):
        torch = programs.Torch(there, found, place.cluster)
        compares = has_gpus and (asked.expected is not None or asked.meter == "torch")
        carried = await meters.carried(torch, nodes, asked, told, None if compares else meters.Tcp(there))
        if not carried.whole.problem.startswith(programs.ABSENT) or asked.meter == "torch":
            kind = place.cluster.fabric.kind
            if kind == "tcpx" and len(nodes) == 1:
                kind = ""  # one node is told to do without it (skyrig.preflight.fabric)
            return _with(seen, carried, torch.heard, kind)
        told(f"{carried.whole.problem}; bytes over TCP are measured instead")
    return _with(seen, await meters.carried(meters.Tcp(there), nodes, asked.by_tcp, told))


def _with(seen: Seen, carried: Carried, heard: Heard = _NOTHING, fabric: str = "") -> Seen:
    """`seen` with what was measured, and how ranks reach each other."""
    spoken = {node: each for node, each in heard.by_node.items() if any(one.network for one in each)}
    words = {node: transport.in_words(each) for node, each in spoken.items()}
    fallen = {node: f"NCCL does not use its {fabric}: {words[node]}" for node, each in spoken.items()
              if transport.fell_back(each, fabric)}  # fmt: skip
    return evolve(seen, measured=carried.whole, pairs=carried.pairs, slow=carried.slow, transports=words, fallen=fallen)


async def _probed(there: Mapping[str, Agent]) -> tuple[dict[str, Findings], dict[str, str]]:
    """What the nodes have, and why it is not known of one, by id."""
    found: dict[str, Findings] = {}
    failed: dict[str, str] = {}

    async def look(node_id: str) -> None:
        try:
            found[node_id] = await there[node_id].look()
        except SkyrigError as error:
            failed[node_id] = error.message

    await asyncio.gather(*(look(node_id) for node_id in there))
    return found, failed


async def _offsets(there: Mapping[str, Agent], asked: Asked) -> tuple[dict[str, Offset], dict[str, str]]:
    """How far the clocks are from the head's, by id; and which nodes fell silent over it."""
    readings: dict[str, list[Reading]] = {node_id: [] for node_id in there}
    gone: dict[str, str] = {}

    async def look(node_id: str, times: int) -> None:
        try:
            for _ in range(times):
                readings[node_id].append(await there[node_id].clock())
        except NodeLost as error:
            gone[node_id] = error.message

    await asyncio.gather(*(look(node_id, _LOOKS) for node_id in there))
    offsets = {node_id: clocks.offset(each) for node_id, each in readings.items() if each and node_id not in gone}
    for node_id, skew in clocks.skews(offsets).items():
        if abs(skew) > asked.limits.skew_warn_s:
            await look(node_id, _AGAIN)
            offsets[node_id] = clocks.offset(readings[node_id])
    return {node_id: each for node_id, each in offsets.items() if node_id not in gone}, gone
