"""What the last deployment of a stack was asked for: the shape in its config at that time.

A file backend keeps the config of every run that ended; any other kind is asked through the engine. A run that was
killed has left no such record, and one that failed may not have begun (the program refuses a config that is older), so
the program notes what it really starts with in the stack's folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from skyrig import places
from skyrig.cluster import shape as shapes
from skyrig.cluster.keys import NAMESPACE
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError
from skyrig.stack import backend, engine, risks, ssh_files

_PREFIX = f"{NAMESPACE}:"
_DEPLOYING = ("update", "destroy")
"""Kinds of runs that say what is wanted; a refresh has the config of a clone in its record too, and deploys nothing."""

_PAGE = 50
_NEVER = "no previous deployment"


@frozen
class Run:
    """A run that may have changed what a stack has: when it `began` and `ended` (seconds since the epoch), whether it
    takes everything away (`destroys`), whether it ended well (None: it was cut off, or goes on), and the shape that it
    was asked for. `nodes` is how many nodes there were after one that failed, None where that is not known. `id` is
    another one for every run of a stack."""

    id: str
    began: float
    ended: float
    destroys: bool
    well: bool | None
    shape: Shape
    nodes: int | None = None


def last(stack: str) -> Shape | None:
    """The shape of the last deployment, also of one that failed or was killed; None where there was none. On a
    backend that is not a file this costs an engine call."""
    done = next(_history(stack), None)
    is_there = done is not None if backend.folder() is None else backend.has_anything(stack)
    started = _started(stack) if is_there else None
    if started is not None and (done is None or started[0] > done[0]):
        return started[1]
    return done[1] if done is not None else None


def was(stack: str, shape: Shape) -> bool:
    """Whether some deployment of the stack had this shape."""
    return any(shape == past for _, past in _history(stack))


def runs(stack: str, known: Collection[str] = ()) -> list[Run]:
    """All runs of a stack that its backend remembers, oldest first, but those with an id in `known`; those that failed
    without having changed anything are left out. The one that began last is there also where it was cut off. On a
    backend that is not a file this costs an engine call."""
    documents = _documents(stack, known) if backend.folder() is not None else _listed(stack)
    found = [run for ended, document in documents if (run := _run(stack, document, ended)) is not None]
    there = backend.folder() is None or backend.has_anything(stack)  # a note may be of an earlier stack of the name
    started = _started(stack) if there else None
    if started is not None and started[0] > _newest(stack, found):
        at = started[0] / 10**9
        found.append(Run(f"cut-{started[0]}", at, at, destroys=False, well=None, shape=started[1]))
    return sorted((run for run in found if run.id not in known), key=lambda run: run.ended)


def note_start(stack: str, shape: Shape) -> None:
    """Keep what a deployment starts with, in case it is killed."""
    places.made(places.stack(stack))
    document = {"at": time.time_ns(), "config": shape.to_config()}
    ssh_files.replace(places.stack(stack) / "started.json", json.dumps(document))


@contextlib.contextmanager
def fetched(stack: str) -> Iterator[Path | None]:
    """A file with the whole config of the last deployment that ended, as the engine writes it (secrets encrypted, with
    their salt), for as long as the block runs; None where there was none."""
    with tempfile.TemporaryDirectory(prefix="skyrig-") as folder:
        file = Path(folder) / "Pulumi.yaml"
        try:
            engine.query(["config", "refresh", "--force", "--config-file", str(file)], stack=stack)
        except EngineError as error:
            if _NEVER not in error.message:
                raise
        yield file if file.exists() else None


def _history(stack: str) -> Iterator[tuple[int, Shape]]:
    """When deployments succeeded (ns since 1970) and their shapes, newest first; any that make no sense left out."""
    for ended, document in _documents(stack) if backend.folder() is not None else _listed(stack):
        if document.get("kind") in _DEPLOYING and document.get("result") == "succeeded":
            shape = _shape(document["config"])
            if shape is not None:
                yield ended, shape


def _documents(stack: str, known: Collection[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a file backend, newest first; those of runs that are `known` are not read."""
    for file in reversed(_files(stack)):
        try:
            ended = _ended(file)
            if str(ended) not in known:
                yield ended, {"config": {}, **json.loads(file.read_bytes())}
        except (OSError, ValueError, TypeError):
            continue


def _files(stack: str) -> list[Path]:
    """The files of a file backend's records, oldest first."""
    base = backend.folder()
    return sorted((base / "history" / NAMESPACE / stack).glob("*.history.json")) if base else []


def _ended(file: Path) -> int:
    return int(file.name.removesuffix(".history.json").rpartition("-")[2])


def _newest(stack: str, found: Iterable[Run]) -> int:
    """When the last run ended that the backend remembers (ns since 1970)."""
    files = _files(stack)
    return _ended(files[-1]) if files else int(max((run.ended for run in found), default=0.0) * 10**9)


def _run(stack: str, document: Mapping[str, Any], ended: int) -> Run | None:
    """A record as a run; None where it changed nothing, or makes no sense (any more)."""
    kind, well, shape = document.get("kind"), document.get("result") == "succeeded", _shape(document["config"])
    done = [change for change, count in (document.get("resourceChanges") or {}).items() if count and change != "same"]
    if kind not in _DEPLOYING or shape is None or not (well or done):
        return None
    began = document["startTime"]
    began = float(began) if isinstance(began, int) else _moment(str(began))
    nodes = None if well else _nodes_after(stack, ended)
    return Run(str(ended), min(began, ended / 10**9), ended / 10**9, kind == "destroy", well, shape, nodes)


def _nodes_after(stack: str, ended: int) -> int | None:
    """How many nodes of clouds a file backend's snapshot has that was made when a run ended; None where there is
    none."""
    base = backend.folder()
    try:
        file = base / "history" / NAMESPACE / stack / f"{stack}-{ended}.checkpoint.json" if base else Path(os.devnull)
        latest = json.loads(file.read_bytes())["checkpoint"]["latest"] or {}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sum(resource.get("type") in risks.NODES for resource in latest.get("resources") or ())


def _listed(stack: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """What the engine lists of any other backend, newest first."""
    said = engine.query(["stack", "history", "--json", "--page-size", str(_PAGE)], stack=stack)
    for document in json.loads(said):
        values = {key: value.get("value") for key, value in document.get("config", {}).items()}
        time = document.get("endTime") or document["startTime"]
        yield int(_moment(str(time)) * 10**9), {**document, "config": values}


def _moment(text: str) -> float:
    """Seconds since the epoch, of a moment as the engine writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()  # Python 3.10 does not know the letter


def _started(stack: str) -> tuple[int, Shape] | None:
    try:
        document = json.loads((places.stack(stack) / "started.json").read_bytes())
        return int(document["at"]), shapes.from_config(document["config"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _shape(values: Mapping[str, Any]) -> Shape | None:
    """The shape in config values; None where it makes no sense (any more)."""
    ours = {key.removeprefix(_PREFIX): value for key, value in values.items() if key.startswith(_PREFIX)}
    try:
        return shapes.from_config(ours)
    except BadInput:
        return None
