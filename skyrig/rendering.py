"""What a run would put on every node: scripts and variables, one folder a rank, secrets masked. No side effect."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from attrs import evolve, frozen

from skyrig.catalog import fabrics, instances
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput
from skyrig.launch.environment import hostfile, masked, processes_per_node, rank_environment, setup_environment
from skyrig.launch.job import JobRequest, Scripts
from skyrig.stack import config, described
from skyrig.storage.wanted import WantedBucket

UNKNOWN_PORT = "<free port of rank 0>"
"""Stands for the rendezvous port, which is found free when the job starts."""


@frozen
class RenderedRank:
    """Files of one rank by name; `environment` and `setup/environment` hold NAME=VALUE lines for the reader."""

    rank: int
    files: dict[str, str]


def of(
    request: JobRequest,
    stack: str,
    shape: Shape | None = None,
    mounts: Mapping[str, Path | None] = MappingProxyType({}),
    buckets: Sequence[WantedBucket] = (),
) -> list[RenderedRank]:
    """Each rank of `request` on the cluster of `stack`; where that is not up, or a `shape` is given that it shall
    have, node addresses are named instead of known. `mounts` are local sources by target."""
    cluster = described.describe(stack) if shape is None else None
    if cluster is None or len(cluster.nodes) < request.num_nodes:
        cluster = planned(stack, resized(shape or config.read_shape(stack), request.num_nodes))
    nodes = cluster.nodes[: request.num_nodes]
    ranks = [_rank(request, cluster, nodes, rank) for rank in range(len(nodes))]
    listed = {"mounts": _listed(mounts, buckets)} if mounts or buckets else {}
    return [evolve(rank, files={**rank.files, **listed}) for rank in ranks]


def planned(stack: str, shape: Shape) -> ClusterDescription:
    """A description of the cluster that `shape` asks for, with names in the place of addresses."""
    machine = shape.machine
    kind = instances.of_cloud(shape.cloud).get(machine.instance_type)
    nodes = tuple(
        Node(
            id=wanted.id,
            rank=rank,
            host="",
            port=0,
            address=f"<address of {wanted.id}>",
            user="",
            host_key="",
            incarnation="",
            alias=wanted.id,
            accelerators=evolve(shape.accelerators, declared=shape.cloud == "local"),
            cpus=float(shape.cpus or (kind.cpus if kind is not None else os.cpu_count() or 1)),
        )
        for rank, wanted in enumerate(shape.nodes)
    )
    return ClusterDescription(
        name=stack,
        cloud=shape.cloud,
        region=machine.region,
        zone=machine.zone,
        nodes=nodes,
        ssh=SshAccess(""),
        records="",
        isolation="namespaces" if shape.cloud == "local" else "machine",
        fabric=fabrics.of_machine(shape.cloud, machine, kind),
    )


def shown(ranks: Sequence[RenderedRank]) -> bytes:
    """All files as one text, under their paths; what all ranks share is shown once."""
    parts = []
    for rank in ranks:
        for name, text in rank.files.items():
            alike = all(other.files.get(name) == text for other in ranks)
            if alike and rank is not ranks[0]:
                continue
            where = "rank-*" if alike and len(ranks) > 1 else f"rank-{rank.rank}"
            parts.append(f"==> {where}/{name} <==\n{text}" + ("" if text.endswith("\n") else "\n"))
    return "\n".join(parts).encode(errors="surrogateescape")


def written(ranks: Sequence[RenderedRank], folder: Path) -> Iterator[Path]:
    """Write the files into FOLDER/rank-K/, scripts executable; gives each path as it is written."""
    for rank in ranks:
        for name, text in rank.files.items():
            file = folder / f"rank-{rank.rank}" / name
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BadInput(f"--out {folder}: {error.strerror}") from error
            file.write_bytes(text.encode(errors="surrogateescape"))
            file.chmod(0o755 if name.endswith(".sh") else 0o644)
            yield file


def _rank(request: JobRequest, cluster: ClusterDescription, nodes: tuple[Node, ...], rank: int) -> RenderedRank:
    files = dict(request.run.files)
    env = rank_environment(
        nodes=nodes,
        rank=rank,
        request=request,
        record_id=request.first_id,
        task_id="<task id>",
        cluster=cluster,
        port=0,
    )
    env["MASTER_PORT"] = UNKNOWN_PORT
    env["SKYRIG_TF_CONFIG"] = env["SKYRIG_TF_CONFIG"].replace(':0"', f':{UNKNOWN_PORT}"')
    files["hostfile"] = hostfile(nodes, processes_per_node(request))
    files["environment"] = _lines(request, env)
    if request.setup is not None:
        setup_env = setup_environment(
            nodes=cluster.nodes, rank=rank, request=request, task_id="<task id>", cluster=cluster
        )
        files |= _prefixed(request.setup)
        files["setup/environment"] = _lines(request, setup_env)
    return RenderedRank(rank, files)


def _listed(mounts: Mapping[str, Path | None], buckets: Sequence[WantedBucket]) -> str:
    """Lines `TARGET <- SOURCE` for the reader, those of buckets with their mode."""
    shown = {target: f"{source}" if source is not None else "(an empty folder)" for target, source in mounts.items()}
    shown |= {bucket.target: f"{bucket} ({bucket.mode})" for bucket in buckets}
    return "".join(f"{target} <- {source}\n" for target, source in shown.items())


def _prefixed(setup: Scripts) -> dict[str, str]:
    return {f"setup/{name}": text for name, text in setup.files.items()}


def _lines(request: JobRequest, env: dict[str, str]) -> str:
    """NAME=VALUE lines; a value of several lines is quoted as the shell would."""
    shown_env = masked(env, request.secrets)
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(shown_env.items()))
