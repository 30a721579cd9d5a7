"""Files of metrics that lie where their job has written them: on the node of its rank 0."""

from __future__ import annotations

import asyncio
from typing import Any

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.launch import nodeside
from skyrig.launch.job import JobRecord
from skyrig.plots import metrics

_LARGEST = 256 << 20
"""Bytes of a file that is fetched."""

_PATIENCE_S = 10.0


def fetched(cluster: ClusterDescription, job: JobRecord) -> bytes:
    """The newest file of metrics of a job, from below its workdir; b"" where there is none, or its node is another one
    by now. SkyrigError where that does not answer."""
    if not job.started_at or not job.nodes or job.nodes[0] not in {node.id for node in cluster.nodes}:
        return b""
    return asyncio.run(_fetched(cluster, job.nodes[0], job.started_at))


async def _fetched(cluster: ClusterDescription, node: str, since: float) -> bytes:
    from skyrig.fleet.connection import Credentials, connect
    from skyrig.fleet.ssh import asyncssh
    from skyrig.fleet.target import from_description

    given = {"names": metrics.NAMES, "since": since, "most": _LARGEST}
    command, stdin = nodeside.program("metering", given)
    key = Credentials(cluster.ssh.private_key)
    try:
        async with await connect(from_description(cluster, node), key, deadline_s=_PATIENCE_S) as connection:
            done: Any = await connection.run(command, input=stdin, encoding=None, check=True)
            found: bytes = done.stdout
    except (asyncssh.Error, OSError) as error:
        raise SkyrigError(f"{node} of {cluster.name} does not hand over a file of metrics: {error}") from error
    return found
