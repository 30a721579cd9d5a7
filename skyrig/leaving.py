"""Before nodes go: which jobs that ends, keeping new ones away, and what must be written down first.

All of it is asked of the keeper on the head. A head that does not answer holds up nothing: one line says so. The client
is imported where it is spoken to: most runs of the engine take no node away, and need no SSH.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skyrig import schedulers
from skyrig.errors import BadInput, SkyrigError
from skyrig.stack import cordoned as noted

if TYPE_CHECKING:
    from skyrig.cluster.cordons import Cordon
    from skyrig.cluster.description import ClusterDescription
    from skyrig.launch.job import JobRecord

FLUSH_S = 600.0
"""How long what jobs wrote may take to reach its buckets before it is said what has not, in seconds."""

FORCED_S = 10.0
"""The same where the reader has said that nodes go all the same."""

Notify = Callable[[str], None]
"""Takes one line for the reader."""

END_JOBS_S = 30.0
"""How long jobs may take to end before their nodes go all the same, in seconds."""


def unfinished(cluster: ClusterDescription, notify: Notify) -> list[JobRecord] | None:
    """The jobs that have not ended; None where the head does not answer, which is said."""
    try:
        return [job for job in asyncio.run(schedulers.client(cluster).queue(cluster)) if not job.status.ended]
    except SkyrigError as error:
        notify(f"records of the last jobs may be missing: {error.message}")
        return None


def wind_up(cluster: ClusterDescription, jobs: Sequence[JobRecord], reason: str, notify: Notify) -> None:
    """End `jobs` as `cancel` does, for `reason`, and have all records and logs brought into the stack's own folder."""
    try:
        asyncio.run(asyncio.wait_for(_ended_and_settled(cluster, [job.id for job in jobs], reason), END_JOBS_S))
    except asyncio.TimeoutError:
        notify(f"jobs did not end within {END_JOBS_S:.0f} s: they end with their nodes")
    except SkyrigError as error:
        notify(f"records of the last jobs may be missing: {error.message}")


def flush(
    cluster: ClusterDescription,
    notify: Notify,
    node_ids: Sequence[str] | None = None,
    *,
    force: bool,
    flush_s: float | None = None,
) -> list[str]:
    """Wait until what jobs wrote on nodes (None: all) is in its buckets, `flush_s` at most (None: FLUSH_S, with `force`
    FORCED_S); what is not by then, in words. A head that does not answer holds up nothing."""
    if flush_s is None:
        flush_s = FORCED_S if force else FLUSH_S
    try:
        return asyncio.run(schedulers.client(cluster).flush(cluster, flush_s, notify, node_ids))
    except SkyrigError as error:
        notify(f"whether all files are in their buckets cannot be asked: {error.message}")
        return []


def cordoned(cluster: ClusterDescription, notify: Notify) -> dict[str, Cordon]:
    """The cordoned nodes, by id. The head is asked where it brings no word of them to the records folder; one that does
    not answer holds up nothing."""
    if cluster.scheduler or cluster.records.startswith("file:"):
        return noted.of(cluster)
    from skyrig.launch import preflights

    try:
        return asyncio.run(preflights.cordoned(cluster))
    except SkyrigError as error:
        notify(f"whether a preflight found nodes bad cannot be asked: {error.message}")
        return noted.of(cluster)


@contextmanager
def drained(
    cluster: ClusterDescription,
    node_ids: Sequence[str],
    notify: Notify,
    *,
    force: bool,
    flush_s: float | None = None,
) -> Iterator[None]:
    """Keep new jobs away from the nodes `node_ids`, which the block removes; they are let in again where it fails.
    BadInput, and nothing changed, where jobs run there; with `force` those jobs are ended first. `flush_s` as for
    `flush`."""
    done = bool(node_ids) and _drain(cluster, node_ids, notify, force=force, flush_s=flush_s)
    try:
        yield
    except BaseException:
        if done:
            _undrain(cluster, notify)
        raise


def _drain(
    cluster: ClusterDescription, node_ids: Sequence[str], notify: Notify, *, force: bool, flush_s: float | None
) -> bool:
    """Whether the nodes are closed to new jobs now; false where the head does not answer."""
    try:
        busy = asyncio.run(schedulers.client(cluster).drain(cluster, node_ids, force=force))
    except SkyrigError as error:
        notify(f"whether jobs run on {', '.join(node_ids)} cannot be asked: {error.message}")
        return False
    if busy and not force:
        where = ", ".join(f"{node_id} runs job {' and '.join(map(str, jobs))}" for node_id, jobs in busy.items())
        raise BadInput(f"{where}: nothing was changed", hint="wait, cancel, or --force to remove it all the same")
    if busy:
        notify(f"removing {', '.join(busy)} ends job {' and '.join(map(str, sorted(set().union(*busy.values()))))}")
    left = flush(cluster, notify, node_ids, force=force, flush_s=flush_s)
    for each in left:
        notify(f"not in its bucket: {each}")
    if left and not force:
        _undrain(cluster, notify)
        raise BadInput(
            "files are not in their buckets: nothing was changed",
            hint="try again, with a longer --flush-timeout, or --force",
        )
    return True


async def _ended_and_settled(cluster: ClusterDescription, jobs: list[int], reason: str) -> None:
    if jobs:
        await schedulers.client(cluster).cancel(cluster, jobs, reason)
    await schedulers.client(cluster).settle(cluster)


def _undrain(cluster: ClusterDescription, notify: Notify) -> None:
    try:
        asyncio.run(schedulers.client(cluster).undrain(cluster))
    except SkyrigError as error:
        notify(f"the nodes may still be closed to new jobs: {error.message}")
