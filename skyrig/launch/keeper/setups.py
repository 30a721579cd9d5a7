"""What a job's setup depends on, on this cluster (see skyrig.launch.keeper.sameness), and what is remembered of setups
that succeeded: in the head's table, and on the nodes themselves for a head after this one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path

from attrs import frozen

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.fleet.content import BlobStore, Refused
from skyrig.launch import environment
from skyrig.launch.job import JobRequest, Scripts
from skyrig.launch.keeper import marks, sameness
from skyrig.launch.keeper.house import House
from skyrig.launch.keeper.marks import Mark

_writing: set[asyncio.Task[None]] = set()
"""Marks on their way to nodes: no job waits for them."""


def kept_secret(home: Path) -> bytes:
    """The head's own secret for what is compared, made if it is not there; `home` is ~/.skyrig."""
    path = home / "hmac"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


async def setup_parts(
    house: House, request: JobRequest, setup: Scripts, group: Sequence[Node], cluster: ClusterDescription
) -> sameness.Parts:
    """What decides whether the setup of the nodes `group` must run again."""
    return await _Sameness(house, request, setup, tuple(group), cluster).parts(house.secret)


async def recall(
    house: House,
    request: JobRequest,
    setup: Scripts,
    group: Sequence[Node],
    cluster: ClusterDescription,
    nodes: Sequence[Node],
) -> None:
    """Have the table know what those of `nodes` remember that it knows nothing of: it is that of a new head."""
    unknown = [node for node in nodes if not house.table.knows_setup(node.id, node.life)]
    found = await marks.read(house.pool, unknown) if unknown else {}
    if not found:
        return
    same = _Sameness(house, request, setup, tuple(group), cluster)
    ours = await same.parts(house.secret)
    theirs = {salt: await same.hardened(salt) for salt in {mark.salt for mark in found.values()}}
    for node in unknown:
        if (mark := found.get(node.id)) is not None:
            told = {
                name: ours[name] if theirs[mark.salt].get(name) == value else value
                for name, value in mark.parts.items()
            }
            if mark.is_of_image:  # it knows nothing of secrets
                told |= {name: ours[name] for name in map("variable:{}".format, request.secrets) if name in ours}
            house.table.set_setup_key(node.id, node.life, sameness.kept(told))


async def remember(
    house: House,
    request: JobRequest,
    setup: Scripts,
    group: Sequence[Node],
    cluster: ClusterDescription,
    done: Sequence[Node],
    undone: Collection[str] = (),
) -> None:
    """Remember that setup has succeeded on the nodes `done`; on those with ids `undone` it changed files that the next
    launch brings as they were, which nobody else needs to know."""
    same = _Sameness(house, request, setup, tuple(group), cluster)
    parts = await same.parts(house.secret)
    for node in done:
        changed = sameness.CHANGES_FILES if node.id in undone else {}
        house.table.set_setup_key(node.id, node.life, sameness.kept({**parts, **changed}))
    task = asyncio.create_task(_mark(house, same, [node for node in done if node.id not in undone]))
    _writing.add(task)
    task.add_done_callback(_writing.discard)


async def settled() -> None:
    """Wait until no mark is on its way: one that came after the next setup has begun would be wrong if that fails."""
    if _writing:
        await asyncio.wait(set(_writing))


async def _mark(house: House, same: _Sameness, nodes: Sequence[Node]) -> None:
    if nodes:
        salt = marks.salt()
        parts = await same.hardened(salt)
        await marks.write(house.pool, {node: Mark(node.life, salt, parts) for node in nodes})


@frozen
class _Sameness:
    """What is compared, of one setup."""

    house: House
    request: JobRequest
    setup: Scripts
    group: tuple[Node, ...]
    cluster: ClusterDescription

    async def parts(self, secret: bytes) -> sameness.Parts:
        """With the head's own secret."""
        return await self._parts(self.request, secret)

    async def hardened(self, salt: str) -> sameness.Parts:
        """With one that stands beside them."""
        request = await asyncio.to_thread(marks.hardened, self.request, salt)
        return await self._parts(request, bytes.fromhex(salt))

    async def _parts(self, request: JobRequest, secret: bytes) -> sameness.Parts:
        ours = environment.setup_environment(
            nodes=self.group, rank=0, request=request, task_id="", cluster=self.cluster
        )
        ours = {name: value for name, value in ours.items() if not name.endswith("SETUP_NODE_RANK")}
        store = self.house.store
        used = await asyncio.to_thread(_files_used, store, request, self.setup) if request.manifest else {}
        return sameness.parts(self.setup, request, ours, used, secret)


def _files_used(store: BlobStore, request: JobRequest, setup: Scripts) -> dict[str, str]:
    def read(sha: str) -> bytes:
        try:
            with store.open(sha) as file:
                return file.read()
        except (Refused, OSError):  # its hash counts all the same, only what it names is not known
            return b""

    return sameness.files_used(setup.files.get("user.sh", ""), store.manifest(request.manifest), read)
