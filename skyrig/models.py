"""Models that training has made, brought home from the nodes: what `serve` serves where no model is named.

A training script writes a model into $SKYRIG_MODEL_DIR, which is ~/sky_models/NAME on the node of rank 0. From there
each comes to SKYRIG_HOME/models/STACK/MARK/NAME, a folder that is whole from the moment that it is there. The newest
few stay: a service that was made of one may be made anew.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import frozen

from skyrig import places
from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.launch import nodeside, records
from skyrig.launch.job import JobStatus

VARIABLE = "SKYRIG_MODEL_DIR"
"""By this variable a training script knows where its model shall go."""

PLACE = "~/sky_models"
"""Where that is, a folder a model, on the nodes."""

LARGEST = 4 * 2**30
"""A model of more bytes stays on its node."""

KEPT = 3
"""So many models of a stack stay here."""

_NOTE = ".skyrig.json"
_PATIENCE_S = 4.0
"""How long a node may take to answer: serving can do without."""

Notify = Callable[[str], None]


@frozen
class Found:
    """A model on node `node`; see skyrig.launch.handing."""

    name: str
    mark: str
    made_at: float
    size: int
    node: str


def environment(name: str) -> Mapping[str, str]:
    """What tells a training script where its model goes."""
    return {VARIABLE: f"{PLACE}/{name}"}


def newest(stack: str, notify: Notify, cluster: ClusterDescription | None = None) -> Path | None:
    """The folder of the newest model that training on `stack` has made; what is newer on `cluster`, if that is up, is
    brought here first. None where there is no model."""
    if cluster is not None:
        try:
            bring(cluster, notify)
        except SkyrigError as error:
            notify(f"{error.message}: the newest model that is here is taken")
    there = _kept(stack)
    return there[0][1] if there else None


def bring(cluster: ClusterDescription, notify: Notify) -> None:
    """Bring home what training on `cluster` has made and is not here yet. SkyrigError where its nodes cannot be
    asked."""
    nodes = _makers(cluster)
    if nodes:
        asyncio.run(_bring(cluster, nodes, notify))


def _makers(cluster: ClusterDescription) -> list[str]:
    """The nodes on which rank 0 of a job ended well, the newest job's first."""
    folder = records.folder(cluster.records) or places.records(cluster.name)
    there = {node.id for node in cluster.nodes}
    ended = [job for job in reversed(records.read(folder)) if job.status is JobStatus.SUCCEEDED and job.nodes]
    return list(dict.fromkeys(job.nodes[0] for job in ended if job.nodes[0] in there))


async def _bring(cluster: ClusterDescription, nodes: Sequence[str], notify: Notify) -> None:
    from skyrig.fleet.connection import Credentials, connect
    from skyrig.fleet.ssh import asyncssh
    from skyrig.fleet.target import from_description

    key = Credentials(cluster.ssh.private_key)
    for node in nodes:
        try:
            async with await connect(from_description(cluster, node), key, deadline_s=_PATIENCE_S) as connection:
                for model in await _there(connection, node):
                    await _fetch(connection, cluster.name, model, notify)
        except (asyncssh.Error, OSError) as error:
            raise SkyrigError(f"models on {node} of {cluster.name} could not be brought: {error}") from error


async def _there(connection: Any, node: str) -> list[Found]:
    """The models on a node."""
    command, given = nodeside.program("handing", {"name": None})
    done = await connection.run(command, input=given, encoding=None, check=True)
    return [Found(**each, node=node) for each in json.loads(done.stdout)]


async def _fetch(connection: Any, stack: str, model: Found, notify: Notify) -> None:
    """Bring one model, unless it is here, or too large."""
    place = _place(stack, model)
    if place is None or place.exists():
        return
    if model.size > LARGEST:
        large = f"model {model.name} has {model.size / 2**30:.1f} GiB and stays on {model.node}"
        notify(f"{large}: `serve --model {PLACE}/{model.name}` serves it there")
        return
    with _locked(stack) as folder, tempfile.TemporaryDirectory(dir=folder, prefix=".") as beside:
        archive = Path(beside, "model.tar")
        command, given = nodeside.program("handing", {"name": model.name})
        done = await connection.run(command, input=given, stdout=archive, encoding=None)
        if done.exit_status != 0:
            raise SkyrigError(f"model {model.name} of {stack} could not be brought: it changed meanwhile, or is gone")
        _unpack(archive, Path(beside, model.mark, model.name), model)
        if not place.exists():
            Path(beside, model.mark).replace(place.parent)
        for _, older in _kept(stack)[KEPT:]:
            shutil.rmtree(older.parent, ignore_errors=True)
    notify(f"model {model.name} ({model.size / 1e6:.1f} MB) is in {place}; `serve` serves it")


def _place(stack: str, model: Found) -> Path | None:
    """Where a model goes; None for names that are none (a node is not believed)."""
    plain = PurePosixPath(model.name).name == model.name and model.name[:1] not in ("", ".") and model.mark.isalnum()
    return places.models(stack) / model.mark / model.name if plain else None


def _unpack(archive: Path, folder: Path, model: Found) -> None:
    """The files of an archive, and a note that tells how old they are. Nothing lands outside `folder`."""
    folder.mkdir(parents=True)
    try:
        with tarfile.open(archive) as packed:
            for member in packed:
                if not member.isfile() or member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
                    continue
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                content = packed.extractfile(member)
                if content is not None:
                    with target.open("wb") as out:
                        shutil.copyfileobj(content, out)
    except tarfile.TarError as error:
        raise SkyrigError(f"model {model.name} did not arrive whole: {error}", hint="run the same again") from error
    (folder / _NOTE).write_text(json.dumps({"made_at": model.made_at, "node": model.node}))


def _kept(stack: str) -> list[tuple[float, Path]]:
    """The models of a stack that are here, newest first."""
    found = []
    for note in places.models(stack).glob(f"[!.]*/*/{_NOTE}"):
        try:
            found.append((float(json.loads(note.read_text())["made_at"]), note.parent))
        except (OSError, ValueError, KeyError):
            continue  # being taken away
    return sorted(found, reverse=True)


@contextmanager
def _locked(stack: str) -> Iterator[Path]:
    """The folder of a stack's models, for one process at a time."""
    folder = places.made(places.models(stack))
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
