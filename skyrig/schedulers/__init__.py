"""Who runs a cluster's jobs: Skyrig's keeper on its head, or a scheduler that is there already. This is the one place
that decides, by what the cluster's description says."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from skyrig.cluster.autostop import Autostop
    from skyrig.cluster.description import ClusterDescription
    from skyrig.cluster.policy import TimeToLive
    from skyrig.launch.job import JobRecord
    from skyrig.launch.meeting import Current
    from skyrig.launch.submission import Submission

    Notify = Callable[[str], None]


class Client(Protocol):
    """What can be asked of a cluster's jobs; `skyrig.launch.client` says what each does."""

    async def submit_and_follow(
        self,
        desc: ClusterDescription,
        what: Submission,
        current: Current,
        *,
        detach: bool,
        out: BinaryIO,
        notify: Notify,
    ) -> int:
        """Submit a job, and follow it."""

    async def submit(self, desc: ClusterDescription, what: Submission, current: Current, notify: Notify) -> JobRecord:
        """Submit a job."""

    async def logs(
        self,
        desc: ClusterDescription,
        job_id: int | None,
        *,
        rank: int | None,
        follow: bool,
        tail: int | None,
        out: BinaryIO,
        notify: Notify,
    ) -> int:
        """Write a job's log."""

    async def queue(self, desc: ClusterDescription) -> list[JobRecord]:
        """All jobs."""

    async def cancel(self, desc: ClusterDescription, job_ids: list[int] | None, reason: str = "cancelled") -> list[int]:
        """End jobs."""

    async def autostop(self, desc: ClusterDescription, wanted: Autostop | None) -> None:
        """Have the cluster stop when it is idle."""

    async def ttl(self, desc: ClusterDescription, wanted: TimeToLive | None) -> None:
        """Have the cluster end at a time."""

    async def acquaint(self, desc: ClusterDescription) -> None:
        """Have the head know the cluster."""

    async def settle(self, desc: ClusterDescription) -> None:
        """Have all records and logs kept."""

    async def flush(
        self, desc: ClusterDescription, deadline_s: float, notify: Notify, node_ids: Sequence[str] | None = None
    ) -> list[str]:
        """Wait for files to be in their buckets."""

    async def drain(self, desc: ClusterDescription, node_ids: Sequence[str], *, force: bool) -> dict[str, list[int]]:
        """Keep jobs away from nodes."""

    async def undrain(self, desc: ClusterDescription) -> None:
        """Let jobs in again."""


def client(desc: ClusterDescription) -> Client:
    """Whom to ask about the jobs of this cluster. It is imported only now: SSH is slow to import."""
    if desc.scheduler:
        found: Client = importlib.import_module(f"skyrig.schedulers.{desc.scheduler}.client").CLIENT
        return found
    from skyrig.launch import client as keeper

    return keeper
