"""The client's side of preflights: having the keeper look at nodes, and what it has found."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from skyrig.cluster import cordons
from skyrig.cluster.cordons import Cordon
from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.launch import client, keeping
from skyrig.launch.job import JobRequest, Scripts
from skyrig.launch.link import NoRuntime, keeper
from skyrig.launch.meeting import Current, meeting
from skyrig.launch.protocol import Message
from skyrig.launch.submission import Submission
from skyrig.launch.view import View
from skyrig.preflight import report
from skyrig.preflight.asked import Asked
from skyrig.preflight.report import Report

Notify = client.Notify


async def run(
    desc: ClusterDescription,
    node_ids: Sequence[str],
    asked: Asked,
    current: Current,
    user: str,
    *,
    out: BinaryIO,
    notify: Notify,
) -> Report:
    """Have the keeper look at these nodes, as a job of its own, and wait for what it finds; Ctrl-C ends it. BadInput
    where jobs run there, SkyrigError where it was not seen through."""
    nothing = Scripts({"run.sh": ""})
    request = JobRequest("preflight", len(node_ids), nothing, user=user, on=tuple(node_ids), preflight=asked)
    async with meeting(desc, current, notify) as link:
        client.refuse_older(link)
        record = await client.submitted(link, Submission(request), notify)
    quiet = View(desc, record, out, _unsaid)
    await client.followed(desc, quiet, _unsaid)
    if quiet.detached:
        await client.cancel(desc, [record.id])
        raise SkyrigError("the preflight was broken off")
    told = await _told(desc, {"op": "preflight", "job": record.id})
    found = report.from_json(told["report"]) if told["report"] is not None else None
    if found is None or found.job != record.id:
        why = quiet.record.reason if quiet.record is not None else ""
        raise SkyrigError(f"the preflight was not seen through: {why or 'its report is missing'}")
    return found


def _unsaid(line: str) -> None:
    """Takes what is said of jobs that one may leave, which a preflight is not."""


async def cordoned(desc: ClusterDescription) -> dict[str, Cordon]:
    """The cordoned nodes, asked of the keeper; none where no job ever ran."""
    with suppress(NoRuntime):
        return cordons.of(cordons.read((await _told(desc, {"op": "preflight"}))["cordoned"]), desc.nodes)
    return {}


async def uncordon(desc: ClusterDescription, node_ids: Sequence[str]) -> None:
    """Let jobs in on these nodes again. BadInput for one that is not cordoned."""
    await _told(desc, {"op": "uncordon", "nodes": list(node_ids)})


async def _told(desc: ClusterDescription, message: Message) -> Message:
    """What the keeper says; which nodes are cordoned is kept for `status` and `up`."""
    async with keeper(desc) as link:
        client.refuse_older(link)
        told = await link.ask(message)
    keeping.note_fitness(desc, told)
    return told
