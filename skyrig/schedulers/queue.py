"""What all clients of a queue that is not ours have alike: following, and the verbs for nodes, which it has none of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import BinaryIO

from skyrig.cluster.autostop import Autostop
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import TimeToLive
from skyrig.errors import BadInput
from skyrig.launch.client import Notify
from skyrig.launch.job import JobRecord
from skyrig.launch.meeting import Current
from skyrig.launch.submission import Submission
from skyrig.launch.view import View


class QueueClient(ABC):
    """What can be asked of jobs whose queue and nodes are somebody else's, as skyrig.launch.client has it."""

    @abstractmethod
    async def submit(self, desc: ClusterDescription, what: Submission, current: Current, notify: Notify) -> JobRecord:
        """Submit a job with its files; of two with one key only the first is taken."""

    @abstractmethod
    async def show(self, desc: ClusterDescription, view: View) -> None:
        """Follow the view's job through breaks of the connection, to its end or until somebody detaches."""

    @abstractmethod
    def no_autostop(self, name: str) -> BadInput:
        """Why this queue, or a job of this name, stops no nodes."""

    @abstractmethod
    def no_ttl(self, name: str) -> BadInput:
        """Why this queue has no time to live."""

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
        """Submit a job with its files, and unless `detach` follow it; the exit code for the caller's process."""
        record = await self.submit(desc, what, current, notify)
        return 0 if detach else await self._shown(desc, View(self.kept_for(desc), record, out, notify), notify)

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
        """Write a job's log (None: the newest job) to `out`, and with `follow` go on until it ends; its exit code."""
        ours = self.kept_for(desc)
        view = View(ours, None, out, notify, job_id=job_id, rank=rank, tail=tail, keep_on=follow)
        return await self._shown(desc, view, notify)

    def kept_for(self, desc: ClusterDescription) -> ClusterDescription | None:
        """The cluster whose lines the view keeps on this machine; None where whoever brings them does so."""
        return desc

    async def autostop(self, desc: ClusterDescription, wanted: Autostop | None) -> None:
        """BadInput: its nodes are not ours to stop."""
        if wanted is not None:
            raise self.no_autostop(desc.name)

    async def ttl(self, desc: ClusterDescription, wanted: TimeToLive | None) -> None:
        """BadInput, likewise."""
        if wanted is not None:
            raise self.no_ttl(desc.name)

    async def acquaint(self, desc: ClusterDescription) -> None:  # noqa: B027 it is all that there is to do
        """There is nobody who must know."""

    async def flush(
        self, desc: ClusterDescription, deadline_s: float, notify: Notify, node_ids: Sequence[str] | None = None
    ) -> list[str]:
        """Nothing is attached, so nothing waits to be brought to a bucket."""
        return []

    async def drain(self, desc: ClusterDescription, node_ids: Sequence[str], *, force: bool) -> dict[str, list[int]]:
        """Ways in run no jobs."""
        return {}

    async def undrain(self, desc: ClusterDescription) -> None:  # noqa: B027
        """Likewise."""

    async def _shown(self, desc: ClusterDescription, view: View, notify: Notify) -> int:
        """Follow, and say how it ended."""
        await self.show(desc, view)
        if not view.detached:
            return view.ended()
        job = f" -j {view.record.id}" if view.record else ""
        notify(f"detached; the job goes on: `logs -c {desc.name}{job}` shows it")
        return 0
