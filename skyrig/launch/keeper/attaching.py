"""Buckets on the nodes of a cluster: attached before a job's setup, and emptied into before nodes go."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import asdict

from skyrig.cluster.description import Node
from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import inside
from skyrig.launch import nodeside
from skyrig.launch.job import JobRequest
from skyrig.launch.keeper.table import JobTable

FLUSH_S = 600.0
"""How long files may take to reach their buckets before nodes that stop or end by themselves do so all the same."""

_SPARE_S = 30.0
"""Seconds beyond a deadline in which a node has to say how it went."""

Say = Callable[[str], None]
"""Takes one line for the reader."""


async def attach(pool: Pool, table: JobTable, nodes: Sequence[Node], request: JobRequest, say: Say) -> dict[str, str]:
    """Have a job's buckets be at their places on all of `nodes`, at once. Returns what is wrong, by node id; NodeLost
    where one goes away."""
    table.set_fact("buckets", True)
    if request.flush_s is not None:
        table.set_fact("flush_s", request.flush_s)
    given = {
        "op": "attach",
        "mounts": [asdict(mount) for mount in request.buckets],
        "secrets": request.bucket_secrets,
        "rclone": request.rclone,
    }
    answers = await _asked(pool, nodes, given, say)
    for answer in answers.values():
        if isinstance(answer, NodeLost):
            raise answer
    return {node_id: problem for node_id, answer in answers.items() if (problem := _problem(answer))}


async def flush(pool: Pool, table: JobTable, nodes: Sequence[Node], deadline_s: float | None, say: Say) -> list[str]:
    """Wait until all that was written on `nodes` is in its bucket, for `deadline_s` (None: what the last job said that
    named one, else FLUSH_S) at most. Returns what is not there, in words; a node that cannot say counts."""
    deadline_s = table.fact("flush_s") if deadline_s is None else deadline_s
    deadline_s = FLUSH_S if deadline_s is None else deadline_s
    given = {"op": "flush", "deadline_s": deadline_s}
    left = []
    for node_id, answer in (await _asked(pool, nodes, given, say, deadline_s + _SPARE_S)).items():
        if isinstance(answer, SkyrigError):
            left.append(f"{node_id}: what is there cannot be asked: {answer.message}")
        else:
            for each in answer["left"]:
                why = each["failed"] or each["error"]
                left.append(f"{node_id}: {each['named']}" + (f" ({why})" if why else ""))
    return left


async def _asked(
    pool: Pool, nodes: Sequence[Node], given: Mapping[str, Any], say: Say, timeout_s: float | None = None
) -> dict[str, Mapping[str, Any] | SkyrigError]:
    """What the program on each node answered at its end; its notes go to `say`, with the node they are of."""

    def heard(node_id: str, line: bytes) -> None:
        if line.startswith(b'{"k": "note"'):
            said = json.loads(line)["text"]
            say(f"{node_id}: {said}" if len(nodes) > 1 else said)

    command, stdin = nodeside.mounting(dict(given))
    targets = [inside(node) for node in nodes]
    ends = await fanout.run_each(pool, targets, command, stdin=stdin, timeout_s=timeout_s, on_line=heard)
    return {node_id: end if isinstance(end, SkyrigError) else _last(end) for node_id, end in ends.items()}


def _last(end: fanout.Result) -> Mapping[str, Any] | SkyrigError:
    lines = end.stdout.splitlines()
    if end.code == 0 and lines and lines[-1].startswith(b'{"k": "done"'):
        done: dict[str, Any] = json.loads(lines[-1])
        return done
    said = end.stderr.decode(errors="replace").strip().splitlines()
    return SkyrigError(f"what attaches buckets there failed: {said[-1] if said else f'code {end.code}'}")


def _problem(answer: Mapping[str, Any] | SkyrigError) -> str:
    return answer.message if isinstance(answer, SkyrigError) else "; ".join(answer["problems"].values())
