"""Everything that a task needs to be launched again later, without the user's own files: a package.

One folder a version: `task.yaml` (the task, without the values of its environment and secrets), `workdir/` and
`mounts/K` (what a sync would send of its local files), `more.json` (values that belong to it, such as a service's
spec) and `sealed` (environment, secrets). A folder is made under another name and appears whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import evolve, field, frozen

from skyrig import checkout, places
from skyrig.control import copying, sealing
from skyrig.errors import SkyrigError
from skyrig.task import reading, writing
from skyrig.task.model import GitSource, Task
from skyrig.task.storage import Storage, is_url

_TASK, _WORKDIR, _MOUNTS, _MORE, _SEALED = "task.yaml", "workdir", "mounts", "more.json", "sealed"

Notify = Callable[[str], None]
"""Takes one line for the reader."""


@frozen
class Package:
    """A package: its `task`, whose paths lie in the package, `more` plain data that was put beside it, and `secrets`,
    those that are no task's."""

    task: Task
    more: Mapping[str, Any] = field(factory=dict)
    secrets: Mapping[str, str] = field(factory=dict, repr=False)


def pack(
    task: Task,
    folder: Path,
    *,
    more: Mapping[str, Any],
    secrets: Mapping[str, str],
    before: Path | None = None,
    notify: Notify = lambda line: None,
) -> Package:
    """Make the package `folder` of a task; `before` is the one before it. BadInput where a file cannot be read; then
    nothing is left. A git repository is fetched."""
    places.made(folder.parent)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        inside = _Copies(fresh, before, task, notify).task()
        document = writing.of_task(evolve(inside, env={}, secrets={}))
        (fresh / _TASK).write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        (fresh / _MORE).write_text(json.dumps(dict(more)))
        values = {"env": dict(task.env), "secrets": dict(task.secrets), "more": dict(secrets)}
        (fresh / _SEALED).write_bytes(sealing.seal(json.dumps(values).encode(), _place(folder)))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return opened(folder)


def opened(folder: Path) -> Package:
    """A package as it can be launched. SkyrigError where it cannot be read any more."""
    try:
        text, more = (folder / _TASK).read_text(), json.loads((folder / _MORE).read_text())
        sealed = (folder / _SEALED).read_bytes()
    except (OSError, ValueError) as error:
        raise SkyrigError(f"the package {folder} cannot be read: {error}", hint="ask for it again") from error
    values = json.loads(sealing.opened(sealed, _place(folder)))
    given = reading.loads(_placed(text, folder), str(folder / _TASK), env=values["env"], secrets=values["secrets"])
    return Package(given.only(), more, values["more"])


def task(folder: Path, env: Mapping[str, str], secrets: Mapping[str, str]) -> Task:
    """The task of a package, with values that are given instead of those that are sealed in it."""
    text = (folder / _TASK).read_text()
    return reading.loads(_placed(text, folder), str(folder / _TASK), env=dict(env), secrets=dict(secrets)).only()


def more(folder: Path) -> dict[str, Any]:
    """What was put beside the task of a package, and is not sealed. SkyrigError where it cannot be read."""
    try:
        found: dict[str, Any] = json.loads((folder / _MORE).read_text())
    except (OSError, ValueError) as error:
        raise SkyrigError(f"the package {folder} cannot be read: {error}", hint="ask for it again") from error
    return found


def prune(folder: Path, keep: int) -> None:
    """Remove all packages of a ward, whose folder this is, but those from version `keep` on."""
    for each in folder.glob("v*"):
        if each.name[1:].isdigit() and int(each.name[1:]) < keep:
            shutil.rmtree(each, ignore_errors=True)


_HERE = "@package@/"
"""Stands for the package's folder in its task, so that a SKYRIG_HOME may be moved."""


def _place(folder: Path) -> str:
    return f"{folder.parent.name} {folder.name}"


def _placed(text: str, folder: Path) -> str:
    """The task's text with paths into the package."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(each) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each) for each in value]
        return f"{folder}/{value[len(_HERE) :]}" if isinstance(value, str) and value.startswith(_HERE) else value

    document = yaml.safe_load(text)
    for name in ("workdir", "file_mounts"):
        if name in document:
            document[name] = walk(document[name])
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _name(path: Path) -> str:
    """What a source is called where it goes into a bucket by its own name."""
    return path.name if path.name not in ("", "..") else path.resolve().name or "root"


class _Copies:
    """Copies a task's local files into the package that is being made."""

    def __init__(self, fresh: Path, before: Path | None, task: Task, notify: Notify) -> None:
        self._fresh, self._before, self._task, self._notify = fresh, before, task, notify
        self._count = 0

    def task(self) -> Task:
        """The task with paths that begin with _HERE."""
        mounts = self._task.mounts
        copies = {target: source if is_url(source) else self._mount(source, target)
                  for target, source in mounts.copies.items()}  # fmt: skip
        buckets = {target: self._bucket(storage, target) for target, storage in mounts.buckets.items()}
        return evolve(self._task, workdir=self._workdir(), mounts=evolve(mounts, copies=copies, buckets=buckets))

    def _workdir(self) -> str | None:
        source = self._task.workdir
        if source is None:
            return None
        if isinstance(source, GitSource):
            self._notify(f"workdir: fetching {source.url}")
        root = checkout.folder(source) if isinstance(source, GitSource) else Path(source).expanduser()
        texts = tuple(text for text in (self._task.setup, self._task.run) if text)
        self._folder(root, _WORKDIR, texts, "workdir")
        return _HERE + _WORKDIR

    def _bucket(self, storage: Storage, target: str) -> Storage:
        source = storage.source
        if isinstance(source, str):
            return storage if is_url(source) else evolve(storage, source=self._mount(source, target))
        if source is None:
            return storage
        return evolve(storage, source=tuple(self._mount(each, target) for each in source))

    def _mount(self, source: str, target: str) -> str:
        """The place in the package of a copy; the last part of its name is the source's, which buckets keep."""
        path = Path(source).expanduser()
        self._count += 1
        name = f"{_MOUNTS}/{self._count}/{_name(path)}"
        if path.is_dir():
            self._folder(path, name, (), f"file_mounts.{target}")
        else:
            before = self._before / name if self._before is not None else None
            copying.file(path, self._fresh / name, before, what=f"file_mounts.{target}")
        return _HERE + name

    def _folder(self, source: Path, name: str, named_in: tuple[str, ...], what: str) -> None:
        before = self._before / name if self._before is not None else None
        copying.folder(source, self._fresh / name, before, named_in=named_in, what=what, notify=self._notify)
