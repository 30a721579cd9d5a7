"""What a job's setup depends on, on this cluster: see skyrig.launch.keeper.sameness."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.fleet.content import BlobStore, Refused
from skyrig.launch import environment
from skyrig.launch.job import JobRequest, Scripts
from skyrig.launch.keeper import sameness
from skyrig.launch.keeper.house import House


async def setup_parts(
    house: House, request: JobRequest, setup: Scripts, group: Sequence[Node], cluster: ClusterDescription
) -> sameness.Parts:
    """What decides whether the setup of the nodes `group` must run again."""
    ours = environment.setup_environment(nodes=tuple(group), rank=0, request=request, task_id="", cluster=cluster)
    ours = {name: value for name, value in ours.items() if not name.endswith("SETUP_NODE_RANK")}
    used = await asyncio.to_thread(_files_used, house.store, request, setup) if request.manifest else {}
    return sameness.parts(setup, request, ours, used, house.secret)


def _files_used(store: BlobStore, request: JobRequest, setup: Scripts) -> dict[str, str]:
    def read(sha: str) -> bytes:
        try:
            with store.open(sha) as file:
                return file.read()
        except (Refused, OSError):  # its hash counts all the same, only what it names is not known
            return b""

    return sameness.files_used(setup.files.get("user.sh", ""), store.manifest(request.manifest), read)
