"""What travels to the controller's node with a managed job: its tasks with copies of their local files, as one archive,
and apart from it, for the line alone, the values of their environment and secrets."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve

from skyrig.control import package
from skyrig.task.model import Task

Notify = Callable[[str], None]
"""Takes one line for the reader."""


@contextmanager
def packed(tasks: Sequence[Task], notify: Notify) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """An archive of the tasks, and what is not in it, one mapping a task. BadInput where a file cannot be read."""
    with tempfile.TemporaryDirectory(prefix="skyrig-seat-") as scratch:
        values = []
        for index, task in enumerate(tasks):
            bare = evolve(task, env={}, secrets={})
            package.pack(bare, Path(scratch, str(index)), more={}, secrets={}, notify=notify)
            values.append({"env": dict(task.env), "secrets": dict(task.secrets)})
        file = Path(scratch, "tasks.tar")
        with tarfile.open(file, "w") as tar:
            for index in range(len(tasks)):
                tar.add(Path(scratch, str(index)), str(index))
        yield file, values


def unpacked(archive: Path, folder: Path, values: Sequence[dict[str, Any]]) -> tuple[Task, ...]:
    """The tasks of an archive, whose files lie below `folder` then."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="tar")
    return tuple(package.task(folder / str(index), **each) for index, each in enumerate(values))
