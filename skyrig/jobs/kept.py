"""What is kept of a managed job beside the stacks that it owns, so that it is known when the controller's own folder is
lost: in each stack's folder `managed/`, the job as plain JSON (`job.json` while it goes on, `past.json` once it has
ended), the packages of the tasks that run there, and what commands found around them, sealed.

The config of such a stack says whose it is as well: the key `managed`, a tag on clouds, is NUMBER-INDEX.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen
from cattrs import BaseValidationError

from skyrig import places
from skyrig.jobs.spec import ManagedSpec
from skyrig.jobs.state import CONVERTER, ManagedJob

_OPEN, _PAST, _SURROUNDINGS = "job.json", "past.json", "surroundings"
_MARK = re.compile(r"([0-9]{1,12})-([0-9]{1,6})")


@frozen
class Kept:
    """A managed job as it stands beside a stack: all that is known of it, what it is asked to be (None: that is not
    known), whether it is to go (`going`) or has ended (`past`), and when it was written, in seconds since the
    epoch."""

    job: ManagedJob
    spec: ManagedSpec | None
    going: bool
    past: bool
    at: float


def folder(stack: str) -> Path:
    """Where a stack's managed job is kept."""
    return places.stack(stack) / "managed"


def package(stack: str, index: int) -> Path:
    """The package of a task of the job, which runs on that stack."""
    return folder(stack) / f"v{index + 1}"


def surroundings(stack: str) -> Path:
    """The copy of what commands about the job found around them, sealed."""
    return folder(stack) / _SURROUNDINGS


def mark(stack: str) -> str:
    """NUMBER-INDEX of the job that goes on and whose cluster this stack is to be; "" where there is none."""
    found = read(stack)
    if found is None or found.past:
        return ""
    index = next((task.index for task in found.job.tasks if task.stack == stack and not task.status.ended), None)
    return f"{found.job.id}-{found.job.current.index if index is None else index}"


def marked(text: str) -> tuple[int, int] | None:
    """Number and index out of a mark; None where it is none."""
    found = _MARK.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def stacks(job: ManagedJob) -> list[str]:
    """The stacks of a job's tasks, each once."""
    return list(dict.fromkeys(task.stack for task in job.tasks))


def write(stack: str, kept: Kept) -> None:
    """Write a job down beside a stack: on disk when this returns, whole or not at all."""
    plain = {
        "job": CONVERTER.unstructure(kept.job),
        "spec": CONVERTER.unstructure(kept.spec) if kept.spec is not None else None,
        "going": kept.going,
        "at": kept.at,
    }
    where = places.made(folder(stack))
    fresh = where / f".job.{os.getpid()}"
    fresh.touch(mode=0o600)
    with fresh.open("w") as file:
        json.dump(plain, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(where / (_PAST if kept.past else _OPEN))
    if kept.past:
        (where / _OPEN).unlink(missing_ok=True)


def read(stack: str) -> Kept | None:
    """The job that is kept beside a stack; None where there is none, or it cannot be read."""
    for name in (_OPEN, _PAST):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return _structured((folder(stack) / name).read_bytes(), past=name == _PAST)
    return None


def every(*, past: bool = False) -> list[Kept]:
    """All jobs that go on, by what was written last of each; with `past` those too that have ended. Costs one stat for
    each stack that ever was."""
    newest: dict[int, Kept] = {}
    for stack in _with_jobs(past=past):
        found = read(stack)
        if found is not None and (past or not found.past):
            before = newest.get(found.job.id)
            if before is None or (before.past, before.at) < (found.past, found.at):
                newest[found.job.id] = found
    return [newest[number] for number in sorted(newest)]


def thin(names: Iterable[str]) -> None:
    """Remove what only a job that goes on needs: its packages and surroundings."""
    for stack in names:
        surroundings(stack).unlink(missing_ok=True)
        for each in folder(stack).glob("v*"):
            shutil.rmtree(each, ignore_errors=True)


def drop(names: Iterable[str]) -> None:
    """Remove all that is kept of a job beside these stacks."""
    for stack in names:
        shutil.rmtree(folder(stack), ignore_errors=True)


def _with_jobs(*, past: bool) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(places.stack("x").parent) as entries:
        for entry in entries:
            inside = folder(entry.name)
            if (inside / _OPEN).exists() or (past and (inside / _PAST).exists()):
                yield entry.name


def _structured(text: bytes, *, past: bool) -> Kept | None:
    """What was written; None where that is not what this Skyrig writes: then the stack's mark is all that is known."""
    try:
        plain = json.loads(text)
        spec = CONVERTER.structure(plain["spec"], ManagedSpec) if plain["spec"] is not None else None
        job = CONVERTER.structure(plain["job"], ManagedJob)
        return Kept(job, spec, bool(plain["going"]), past, float(plain["at"]))
    except (ValueError, KeyError, TypeError, BaseValidationError):
        return None
