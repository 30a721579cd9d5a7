"""What the last deployment of a stack was asked for: the shape in its config at that time.

A file backend keeps the config of every run that ended; any other kind is asked through the engine. A run that was
killed has left no such record, and one that failed may not have begun (the program refuses a config that is older), so
the program notes what it really starts with in the stack's folder.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from skyrig import places
from skyrig.cluster import shape as shapes
from skyrig.cluster.keys import NAMESPACE
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError
from skyrig.stack import backend, engine, ssh_files

_PREFIX = f"{NAMESPACE}:"
_DEPLOYING = ("update", "destroy")
"""Kinds of runs that say what is wanted; a refresh has the config of a clone in its record too, and deploys nothing."""

_PAGE = 50
_NEVER = "no previous deployment"


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


def _documents(stack: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a file backend, newest first."""
    base = backend.folder()
    for file in sorted((base / "history" / NAMESPACE / stack).glob("*.history.json"), reverse=True) if base else ():
        try:
            document = json.loads(file.read_bytes())
            yield int(file.name.removesuffix(".history.json").rpartition("-")[2]), {"config": {}, **document}
        except (OSError, ValueError, TypeError):
            continue


def _listed(stack: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """What the engine lists of any other backend, newest first."""
    said = engine.query(["stack", "history", "--json", "--page-size", str(_PAGE)], stack=stack)
    for document in json.loads(said):
        values = {key: value.get("value") for key, value in document.get("config", {}).items()}
        time = document.get("endTime") or document["startTime"]
        ended = datetime.fromisoformat(time.replace("Z", "+00:00"))  # Python 3.10 does not know the letter
        yield int(ended.timestamp() * 10**9), {**document, "config": values}


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
