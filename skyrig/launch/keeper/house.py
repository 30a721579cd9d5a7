"""What a job's flow needs of the keeper that runs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from typing import Protocol

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.fleet.content import BlobStore
from skyrig.fleet.pool import Pool
from skyrig.fleet.progress import Report
from skyrig.launch.job import JobRecord, JobRequest
from skyrig.launch.keeper.bell import Bell
from skyrig.launch.keeper.fitness import Fitness
from skyrig.launch.keeper.lookout import Lookout
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.table import JobTable


class House(Protocol):
    """What a flow needs of the keeper that runs it."""

    log: logging.Logger
    table: JobTable
    pool: Pool
    secret: bytes
    lookout: Lookout
    bell: Bell
    fitness: Fitness

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def store(self) -> BlobStore:
        """Manifests and contents on the head."""

    async def spread(
        self, request: JobRequest, nodes: Sequence[Node], say: Callable[[str], None], report: Report
    ) -> None:
        """Bring a job's files to `nodes`; `say` and `report` hear how that goes where it takes long."""

    async def standing(self, request: JobRequest, nodes: Sequence[Node]) -> set[str]:
        """Ids of those of `nodes` where a job's files are still as they were brought."""

    async def attach(self, request: JobRequest, nodes: Sequence[Node], say: Callable[[str], None]) -> dict[str, str]:
        """Have a job's buckets be at their places on `nodes`; what is wrong, by node id."""

    async def ready(self, node_id: str) -> None:
        """Wait until a node has what this version of ours needs there."""

    def lets_in(self, node: Node) -> bool:
        """Whether a node was given what it needs, since it is this machine."""

    def usable(self, nodes: Sequence[Node], own: Container[str] = ()) -> list[Node]:
        """Those of `nodes` that are neither about to go nor cordoned, or whose ids are in `own`."""

    def advance(self, record: JobRecord, plan: Plan) -> None:
        """Write a job's new state and plan at once, and tell its followers."""

    def promised_ports(self, node_id: str) -> set[int]:
        """Rendezvous ports that running jobs have on a node."""
