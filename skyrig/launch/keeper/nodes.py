"""The keeper's nodes: the cluster as last described, what every node was given, and which nodes are about to go."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skyrig.cluster import cordons
from skyrig.cluster.cordons import Cordon
from skyrig.cluster.description import ClusterDescription, Node, from_json
from skyrig.errors import BadInput, NodeLost, SkyrigError
from skyrig.fleet.blobs import BlobStore
from skyrig.fleet.content import Manifest, Refused
from skyrig.fleet.nesting import Layer, are_nested, spared
from skyrig.fleet.place import WORKDIR, Place, bring
from skyrig.fleet.pool import Pool
from skyrig.fleet.progress import Progress, Report, summed
from skyrig.fleet.spread import Load, Outcome, SpreadFailed, spread, standing
from skyrig.fleet.stamp import Stamp
from skyrig.fleet.target import Target, inside
from skyrig.launch import nodeside
from skyrig.launch.job import Mount
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


_MEND = "mend that, and run the command again"

_Brought = tuple[str, Place]
"""The digest of a manifest, and its place."""


class FilesRefused(SkyrigError):
    """A node could not take the files of a job."""


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
        self._brought: dict[tuple[str, str], str] = {}
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

    def lets_in(self, node: Node) -> bool:
        """Whether a node was prepared, since it is this machine."""
        return bool((self._table.fact("prepared") or {}).get(node.id) == node.incarnation)

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
                raise SkyrigError(f"{node.id} could not be prepared: {failed[node.id]}", hint="run `up`")
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

    # -- nodes that a preflight found bad

    def cordon(self, reasons: Mapping[str, str]) -> None:
        """Place no more jobs on these nodes, by id, for these reasons."""
        present = {node.id: node.incarnation for node in self.cluster.nodes}
        fresh = [Cordon(each, present[each], why, time.time()) for each, why in reasons.items() if each in present]
        self._keep_cordons({**self.cordoned(), **{each.node: each for each in fresh}})

    def uncordon(self, node_ids: Iterable[str]) -> None:
        """Let jobs in on these nodes again. BadInput for one that is not cordoned."""
        known = self.cordoned()
        for node_id in node_ids:
            if known.pop(node_id, None) is None:
                there = ", ".join(known) or "none"
                raise BadInput(f"{node_id} is not cordoned", hint=f"cordoned: {there}")
        self._keep_cordons(known)

    def cordoned(self) -> dict[str, Cordon]:
        """The cordoned nodes of the cluster, by id."""
        kept = cordons.read(json.dumps(self._table.fact("cordoned") or []))
        return cordons.of(kept, self.cluster.nodes)

    def _keep_cordons(self, known: Mapping[str, Cordon]) -> None:
        self._table.set_fact("cordoned", json.loads(cordons.text(known.values())))

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
        mounts: Sequence[Mount] = (),
        report: Report = lambda progress: None,
    ) -> None:
        """Make ~/sky_workdir of `nodes` hold what the manifest with this digest says ("" for none), then `mounts` their
        targets, on all of them at once. `say` takes a line now and then where that takes long, and one for each node
        that it came to in another way than was planned; `report` hears more often of the nodes beside the head."""
        brought = await asyncio.to_thread(self._places, digest, mounts)
        others = [inside(node) for node in nodes if node.rank != 0]
        work: list[Awaitable[None]] = [self._spread(brought, others, say, report)]
        if self.cluster.head in nodes:
            work.append(asyncio.to_thread(self._bring, brought))
        await asyncio.gather(*work)

    async def standing(self, digest: str, mounts: Sequence[Mount], nodes: Sequence[Node]) -> set[str]:
        """Ids of those of `nodes` where all of that is still as it was brought."""
        brought = await asyncio.to_thread(self._places, digest, mounts)
        others = [inside(node) for node in nodes if node.rank != 0]
        held = await standing(self.pool, others, brought, python=self._python) if others else {}
        found = {node_id for node_id, stands in held.items() if all(stands)}
        if self.cluster.head in nodes and await asyncio.to_thread(lambda: all(map(_stands, brought))):
            found.add(self.cluster.head.id)
        return found

    @property
    def _python(self) -> str:
        """The interpreter of the nodes that takes files."""
        return "python3" if self.cluster.isolation == "machine" else "~/.skyrig/runtime/bin/python"

    def _places(self, digest: str, mounts: Sequence[Mount]) -> list[_Brought]:
        """What goes where, in its order."""
        digests = [*([digest] if digest else []), *(mount.manifest for mount in mounts)]
        places = [*([WORKDIR] if digest else []), *(_place(mount) for mount in mounts)]
        if are_nested([place.target for place in places]):
            layers = [
                Layer(place.target, self.store.manifest(each), place.is_file)
                for place, each in zip(places, digests, strict=True)
            ]
            places = [place._replace(spare=spare) for place, spare in zip(places, spared(layers), strict=True)]
        return list(zip(digests, places, strict=True))

    async def _spread(
        self, brought: list[_Brought], others: list[Target], say: Callable[[str], None], report: Report
    ) -> None:
        """Bring it to `others`; where it was brought last, a look is enough if nothing was changed there since."""
        left = dict.fromkeys(others, brought)
        had = [target for target in others if any(self._had(target, each) for each in brought)]
        if had:
            held = await standing(self.pool, had, brought, python=self._python)
            for target in had:
                stands = zip(brought, held[target.id], strict=True)
                left[target] = [each for each, stand in stands if not (stand and self._had(target, each))]
        by_lack: dict[tuple[_Brought, ...], list[Target]] = {}
        for target, lack in left.items():
            if lack:
                by_lack.setdefault(tuple(lack), []).append(target)
            for _, place in lack:
                self._brought.pop((target.id, place.state_file), None)
        part = summed(report)
        await asyncio.gather(*(self._send(list(lack), some, say, part()) for lack, some in by_lack.items()))

    async def _send(
        self, brought: list[_Brought], targets: list[Target], say: Callable[[str], None], each: Report
    ) -> None:
        loads = await asyncio.to_thread(lambda: [Load(self.store.manifest(digest), place) for digest, place in brought])
        report = _now_and_then(len(targets), say, each)
        await self._sent(spread(self.pool, targets, self.store, loads, python=self._python, report=report), say)
        for target in targets:
            self._brought |= {(target.id, place.state_file): digest for digest, place in brought}

    def _had(self, target: Target, brought: _Brought) -> bool:
        return self._brought.get((target.id, brought[1].state_file)) == brought[0]

    def _bring(self, brought: list[_Brought]) -> None:
        for digest, place in brought:
            if not _stands((digest, place)):
                try:
                    bring(self.store, self.store.manifest(digest), place)
                except Refused as refused:
                    reason = f"node {self.cluster.head.id} could not take the files: {refused}"
                    raise FilesRefused(reason, hint=_MEND) from refused

    async def _sent(self, sending: Awaitable[dict[str, Outcome]], say: Callable[[str], None]) -> None:
        for node_id, outcome in (await sending).items():
            if isinstance(outcome, NodeLost):
                raise outcome
            if isinstance(outcome, SkyrigError):
                named = isinstance(outcome, SpreadFailed)
                raise FilesRefused(str(outcome) if named else f"files did not reach {node_id}: {outcome}", hint=_MEND)
            if outcome.note:
                say(f"files of {node_id}: {outcome.note}")


def _stands(brought: _Brought) -> bool:
    """Whether it is here, on the head, as it was brought."""
    digest, place = brought
    state, folder = (os.path.expanduser(path) for path in (place.state_file, place.folder))  # noqa: PTH111
    return Stamp(state).holds(digest, folder)


def _place(mount: Mount) -> Place:
    """Where a mount goes, and where a node remembers what it had there."""
    name = hashlib.sha256(mount.target.encode(errors="surrogateescape")).hexdigest()[:16]
    return Place(mount.target, f"~/.skyrig/mounts/{name}.json", mount.is_file)


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
    """What the nodes were prepared for: a cluster, and this version's own programs on them."""
    return [digest, *nodeside.files()]
