"""A task, and a file of tasks, as values. They never change; `attrs.evolve` makes changed copies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from skyrig.errors import BadInput
from skyrig.task.config import Config
from skyrig.task.problems import Position, lines
from skyrig.task.resources import Choice, Resources
from skyrig.task.service import Pool, Service
from skyrig.task.storage import FileMounts


@frozen
class GitSource:
    """A git repository that is the workdir; `ref` is a branch, a tag or a commit, None the default branch."""

    url: str
    ref: str | None = None


@frozen
class ManagedSecret:
    """A secret that a secret store holds under `name`; `scope` is personal, workspace or global."""

    name: str
    scope: str | None = None
    mount_path: str | None = None


@frozen
class Task:
    """One task. Texts of `setup` and `run` are the user's own, to the byte; None where there is none. `env` and
    `secrets` are complete: null values were filled in or refused. `workdir` is as it was written, relative to the
    caller's folder. `inputs` and `outputs` are a url and its size in GB."""

    name: str | None = None
    num_nodes: int = 1
    workdir: str | GitSource | None = None
    env: Mapping[str, str] = field(factory=dict)
    secrets: Mapping[str, str] = field(factory=dict, repr=False)
    managed_secrets: tuple[ManagedSecret, ...] = ()
    choice: Choice = field(factory=Choice)
    mounts: FileMounts = field(factory=FileMounts)
    volumes: Mapping[str, Any] = field(factory=dict)
    service: Service | Pool | None = None
    config: Config = field(factory=Config)
    setup: str | None = None
    run: str | None = None
    event_callback: str | None = None
    api_server_access: bool = True
    inputs: tuple[str, float] | None = None
    outputs: tuple[str, float] | None = None

    @property
    def resources(self) -> Resources:
        """The first candidate: the only one, or the preferred one."""
        return self.choice.each[0]

    @property
    def folder(self) -> Path | None:
        """The local folder that is the workdir; None where there is none, or where it is a git repository."""
        return Path(self.workdir).expanduser() if isinstance(self.workdir, str) else None


@frozen
class TaskFile:
    """What a file holds: one task, or several that run one after another (`execution` "serial") or side by side
    ("parallel"), under the name of all. `mends` and `warnings` are lines with their places; `missing` says which
    local files are not there, and `is_empty` that the file holds no task at all."""

    tasks: tuple[Task, ...]
    name: str | None = None
    execution: str = "serial"
    several: bool = False
    group: Mapping[str, Any] = field(factory=dict)
    mends: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    missing: tuple[tuple[Position, str], ...] = ()
    is_empty: bool = False

    def only(self) -> Task:
        """The one task; BadInput where there are several."""
        if len(self.tasks) != 1:
            raise BadInput(f"the file holds {len(self.tasks)} tasks, a pipeline", hint="jobs.launch runs those")
        return self.tasks[0]

    def require_files(self) -> None:
        """BadInput, one line a problem, where local files that the tasks name are not there, or where there is no task
        at all."""
        if self.is_empty:
            raise BadInput(self.warnings[-1])
        if self.missing:
            raise BadInput("\n".join(lines(self.missing)))
