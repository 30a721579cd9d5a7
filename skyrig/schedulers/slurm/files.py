"""Files on their way to the shared file system of a Slurm cluster, and what a job consists of there.

A workdir goes into a folder that its hash names, and stays as it is: a job that waits for a day runs what it was
submitted with. Only contents that are not there yet are sent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from skyrig import shell_templates
from skyrig.cluster.description import ClusterDescription, Partition
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet import spread
from skyrig.fleet.content import BlobStore, MissingBlobs, raw
from skyrig.fleet.place import Place
from skyrig.fleet.pool import Pool
from skyrig.fleet.spread import Load, Means
from skyrig.fleet.target import Target
from skyrig.launch.environment import cluster_info, of_fabric, processes_per_node
from skyrig.launch.files import Bundle, Notify, gathered
from skyrig.launch.job import JobRequest, Scripts
from skyrig.launch.keeper.gang import PEER_LOSS
from skyrig.launch.render import TEMPLATES
from skyrig.launch.submission import BatchOptions, Submission
from skyrig.schedulers.slurm import door
from skyrig.schedulers.slurm.options import NOTICE_S, lines

WORKDIR = "~/sky_workdir"


def base(cluster: str) -> str:
    """Our folder for a cluster on the shared file system."""
    return f"~/.skyrig/slurm/{cluster}"


class _Here(BlobStore):
    """The contents of bundles, as they lie on this machine."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        super().__init__("")
        self._places = {
            entry.sha256: bundle.root / Path(raw(entry.path).decode("utf-8", "surrogateescape"))
            for bundle in bundles
            for entry in bundle.local.entries
            if entry.kind == "file"
        }

    def open(self, sha: str) -> BinaryIO:
        try:
            return self._places[sha].open("rb")
        except (KeyError, OSError):
            raise MissingBlobs([sha]) from None


async def bring(pool: Pool, login: Target, cluster: str, what: Submission, notify: Notify) -> str:
    """Bring the workdir and the mounts of a submission; the folder of the workdir below `base`, "" without one.
    BadInput for mounts outside the user's home: there is nobody to make them on every node."""
    for target in what.mounts:
        if not target.startswith("~"):
            raise BadInput(
                f"file_mounts.{target}: on a Slurm cluster only places in your home can be had", hint=f"use ~{target}"
            )
    scripts = [what.request.run, *([what.request.setup] if what.request.setup else [])]
    texts = [text for each in scripts for name, text in each.files.items() if "/" not in name]
    bundles = gathered(cluster, what.workdir, what.mounts, texts, notify)
    folder = ""
    loads = []
    for bundle in bundles:
        target, digest = bundle.layer.target, bundle.layer.manifest.digest
        state = f"{base(cluster)}/brought/{target.strip('~/').replace('/', '~') or 'home'}.json"
        if target == WORKDIR:
            folder = f"files/{digest[:24]}"
            target, state = f"{base(cluster)}/{folder}", f"{base(cluster)}/brought/{digest[:24]}.json"
        loads.append(Load(bundle.layer.manifest, Place(target, state, bundle.layer.is_file)))
    if loads:
        means = Means(blobs=f"{base(cluster)}/incoming")
        outcome = (await spread.spread(pool, [login], _Here(bundles), loads, python="python3", means=means))[login.id]
        if isinstance(outcome, SkyrigError):
            raise outcome
        if outcome.written:
            notify(f"files: {outcome.written} new on the cluster")
    return folder


def script(request: JobRequest, asked: BatchOptions, partition: Partition) -> str:
    """The text that sbatch gets."""
    options = lines(request, asked, partition)
    return shell_templates.rendered(TEMPLATES / "slurm", "batch.sh.j2", options=options, entry=request.run.entry)


def texts(request: JobRequest, asked: BatchOptions, partition: Partition) -> dict[str, str]:
    """The files of a job's folder but for what is only known at its submission, by name."""
    setup = _below("setup", request.setup) if request.setup is not None else {}
    return {
        "batch.sh": script(request, asked, partition),
        "node.py": door.node_program(),
        **_below("run", request.run),
        **setup,
    }


def job(request: JobRequest, folder: str, submitted_at: float) -> dict[str, Any]:
    """job.json: nothing in it is secret."""
    return {
        "name": request.name,
        "num_nodes": request.num_nodes,
        "entry": request.run.entry,
        "user": request.user,
        "key": request.key,
        "submitted_at": submitted_at,
        "workdir": folder,
        "force_setup": request.force_setup,
        "notice_s": NOTICE_S,
        "peer_loss": PEER_LOSS.pattern.decode(),
    }


def secret(desc: ClusterDescription, request: JobRequest, task_id: str) -> dict[str, Any]:
    """secret.json: what the ranks' environment is made of."""
    return {
        "env": {**request.env, **request.secrets},
        "given": dict(request.given),
        "fabric": dict(desc.fabric.env),
        "seen": of_fabric(desc.fabric.kind, desc.fabric.env, request),
        "task_id": task_id,
        "cluster_info": cluster_info(desc),
        "user": request.user,
        "accelerators": request.accelerators,
        "procs": processes_per_node(request),
        "num_nodes": request.num_nodes,
    }


def setup_parts(request: JobRequest, folder: str) -> list[Any] | None:
    """What decides whether a setup must run again; None where there is none. The workdir is part of it: setup runs
    there, and may leave there what only that folder has."""
    if request.setup is None:
        return None
    variables = {**request.env, **request.secrets}
    return [request.setup.files, json.dumps(variables, sort_keys=True), request.num_nodes, request.accelerators, folder]


def _below(folder: str, scripts: Scripts) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in scripts.files.items()}
