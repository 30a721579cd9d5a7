"""The keeper's nodes: the cluster as last described, what every node was given, and which nodes are about to go."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from skyrig.cluster.description import ClusterDescription, Node, from_json
from skyrig.errors import BadInput, NodeLost, SkyrigError
from skyrig.fleet.blobs import BlobStore, materialise
from skyrig.fleet.content import Manifest
from skyrig.fleet.pool import Pool
from skyrig.fleet.progress import Progress, Report
from skyrig.fleet.spread import Outcome, spread, standing
from skyrig.fleet.stamp import Stamp
from skyrig.fleet.target import Target, inside
from skyrig.launch import nodeside
from skyrig.launch.keeper import access
from skyrig.launch.keeper.table import JobTable

_TRY_AGAIN_S = 0.5
"""Pause between two tries to give a node what a new version of ours needs there."""

_TRIES_S = 60.0
"""How long that is tried: well beyond the time after which the node's ranks are lost."""

_COMPLETE_S = 1800.0
"""How long it is remembered that the store lacks nothing of a manifest; half the time for which pruning spares it."""

_MOST_COMPLETE = 64

_SAY_EVERY_S = 5.0
"""Seconds between two lines about files on their way."""


class Nodes:
    """One per keeper. What must outlive it is in the table's facts."""

    def __init__(self, home: Path, table: JobTable, log: logging.Logger) -> None:
        self.key = access.InternalKey(home / "internal")
        self.pool = Pool(self.key.credentials, deadline_s=30)
        self.store = BlobStore(home / "blobs")
        self._home = home
        self._table = table
        self._log = log
        self._upgrading: dict[str, asyncio.Task[None]] = {}
        self._brought: dict[str, str] = {}
        self._complete: dict[str, float] = {}
        described = table.fact("cluster")
        self._cluster = from_json(described) if described else None

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described by a client; SkyrigError before that."""
        if self._cluster is None:
            raise SkyrigError("the keeper does not know its cluster yet", hint="run the command again")
        return self._cluster

    @property
    def described(self) -> bool:
        """Whether a client has described the cluster."""
        return self._cluster is not None

    def describe(self, document: dict[str, Any], *, undrain: bool) -> list[str]:
        """Take a description; returns the ids of the nodes that do not know the keeper's key. Marks of nodes that are
        gone are forgotten, with `undrain` those of all others too."""
        cluster = from_json(document)
        self._cluster = cluster
        self._table.set_fact("cluster", cluster.public().to_json())
        present = {node.id: node.incarnation for node in cluster.nodes}
        marks = {} if undrain else {name: mark for name, mark in self._marks().items() if present.get(name) == mark}
        if marks != self._marks():
            self._table.set_fact("draining", marks)
        known = self._table.fact("prepared") or {}
        return [node.id for node in cluster.nodes if known.get(node.id, "") != node.incarnation]

    def knows(self, digest: str) -> bool:
        """Whether the description with this digest was taken and all its nodes prepared."""
        return bool(self._table.fact("digest") == _prepared_for(digest))

    async def prepare(self, digest: str) -> dict[str, str]:
        """Give all nodes what they need (they let the keeper in now). Returns node id -> reason of failures."""
        nodes = self.cluster.nodes
        failed = await access.prepare(self.pool, self.cluster, self.key, nodes)
        self._table.set_fact("prepared", {node.id: node.incarnation for node in nodes if node.id not in failed})
        self._table.set_fact("digest", None if failed else _prepared_for(digest))
        return failed

    def upgrade(self) -> None:
        """If an older version of ours prepared the nodes, begin to bring each of them up to this one, by itself:
        `ready` waits for it. One that is silent keeps none of the others waiting."""
        known = self._table.fact("digest")
        if self._cluster is not None and known and not self.knows(known[0]):
            self._table.set_fact("digest", None)
            for node in self._cluster.nodes:
                self._upgrading[node.id] = asyncio.create_task(self._upgrade(node))
            self._done = asyncio.create_task(self._when_upgraded(known[0], dict(self._upgrading)))

    async def ready(self, node_id: str) -> None:
        """Wait until a node has what this version of ours needs there."""
        upgrading = self._upgrading.get(node_id)
        if upgrading is not None:
            await asyncio.shield(upgrading)

    async def _upgrade(self, node: Node) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TRIES_S
        while failed := await access.prepare(self.pool, self.cluster, self.key, [node]):
            if loop.time() > deadline:
                raise SkyrigError(f"{node.id} could not be prepared: {failed[node.id]}", hint="run `invoke up`")
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _when_upgraded(self, digest: str, upgrading: dict[str, asyncio.Task[None]]) -> None:
        """Remember that all nodes are prepared, if all are."""
        outcomes = await asyncio.gather(*upgrading.values(), return_exceptions=True)
        for node_id, outcome in zip(upgrading, outcomes, strict=True):
            self._upgrading.pop(node_id, None)
            if outcome is not None:
                self._log.warning("%s", outcome)
        if all(outcome is None for outcome in outcomes) and self._table.fact("digest") is None:
            self._table.set_fact("digest", _prepared_for(digest))

    # -- nodes that are about to go

    def mark(self, node_ids: Iterable[str]) -> None:
        """Place no more jobs on these nodes. BadInput if the cluster has no such node."""
        present = {node.id: node.incarnation for node in self.cluster.nodes}
        for node_id in node_ids:
            if node_id not in present:
                raise BadInput(f"there is no node {node_id}", hint=f"its nodes: {', '.join(present)}")
        self._table.set_fact("draining", {**self._marks(), **{name: present[name] for name in node_ids}})

    def going(self) -> list[str]:
        """Ids of the nodes that are marked."""
        return [node.id for node in self.cluster.nodes if self._marks().get(node.id) == node.incarnation]

    def usable(self, nodes: Sequence[Node]) -> list[Node]:
        """Those of `nodes` that are not marked."""
        going = self.going()
        return [node for node in nodes if node.id not in going]

    def _marks(self) -> dict[str, str]:
        return self._table.fact("draining") or {}

    # -- files

    def lacking(self, digest: str, body: bytes) -> list[str] | None:
        """Hashes of the contents that the store lacks of a manifest; None where it is named by its digest alone and not
        known. That nothing is lacking stays true for as long as pruning leaves alone what was asked for."""
        if time.monotonic() - self._complete.get(digest, float("-inf")) < _COMPLETE_S:
            return []
        if not body and not self.store.has(digest):
            return None
        manifest = Manifest.from_bytes(body) if body else self.store.manifest(digest)
        missing = self.store.missing(manifest.blobs())
        self.store.put_manifest(manifest)
        if not missing:
            self._complete = {manifest.digest: time.monotonic(), **self._complete}
            self._complete = dict(list(self._complete.items())[:_MOST_COMPLETE])
        return missing

    async def spread(
        self,
        digest: str,
        nodes: Sequence[Node],
        say: Callable[[str], None],
        report: Report = lambda progress: None,
    ) -> None:
        """Make ~/sky_workdir of `nodes` hold what the manifest with this digest says, all at once. `say` takes a line
        now and then where that takes long, and one for each node that it came to in another way than was planned;
        `report` hears more often of the nodes beside the head."""
        python = "python3" if self.cluster.isolation == "machine" else "~/.skyrig/runtime/bin/python"
        work: list[Awaitable[None]] = [
            self._spread(digest, [inside(n) for n in nodes if n.rank != 0], python, say, report)
        ]
        if self.cluster.head in nodes:
            work.append(asyncio.to_thread(self._materialise, digest))
        await asyncio.gather(*work)

    async def _spread(
        self, digest: str, others: list[Target], python: str, say: Callable[[str], None], report: Report
    ) -> None:
        """Bring them to `others`; where they were brought last, a look is enough if nothing was changed there since."""
        had = [target for target in others if self._brought.get(target.id) == digest]
        same = await standing(self.pool, had, digest, python=python) if had else set()
        left = [target for target in others if target.id not in same]
        for target in left:
            self._brought.pop(target.id, None)
        if left:
            report = _now_and_then(len(left), say, report)
            sending = spread(self.pool, left, self.store, self.store.manifest(digest), python=python, report=report)
            await self._sent(sending, say)
        self._brought |= dict.fromkeys((target.id for target in left), digest)

    def _materialise(self, digest: str) -> None:
        state, workdir = self._home / "workdir.json", Path.home() / "sky_workdir"
        if not Stamp(str(state)).holds(digest, str(workdir)):
            materialise(self.store, self.store.manifest(digest), workdir, state)

    async def _sent(self, sending: Awaitable[dict[str, Outcome]], say: Callable[[str], None]) -> None:
        for node_id, outcome in (await sending).items():
            if isinstance(outcome, NodeLost):
                raise outcome
            if isinstance(outcome, SkyrigError):
                raise SkyrigError(f"files did not reach {node_id}: {outcome}", hint="run the command again")
            if outcome.note:
                say(f"files of {node_id}: {outcome.note}")


def _now_and_then(count: int, say: Callable[[str], None], each: Report) -> Report:
    """Tells of a long spread to `count` nodes every _SAY_EVERY_S seconds: a job's log is no progress bar. `each` is
    told every time."""
    told_at = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal told_at
        each(progress)
        if time.monotonic() >= told_at + _SAY_EVERY_S:
            told_at = time.monotonic()
            say(f"files to {count} nodes: {progress}")

    return report


def _prepared_for(digest: str) -> list[str]:
    """What the nodes were prepared for: a cluster, and the supervisor of this version."""
    return [digest, nodeside.supervisor_file()]
