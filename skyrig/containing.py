"""Container images out of tasks and recipes: the same setups as a machine image has, done on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from attrs import field, frozen

from skyrig.bringing import Notify
from skyrig.cluster import imagery
from skyrig.errors import BadInput
from skyrig.fleet.workdir import select
from skyrig.images import building, containers
from skyrig.images.containers import Container
from skyrig.planning import setups
from skyrig.submitting import buckets_of, mounts_of
from skyrig.task.model import Task


@frozen
class WantedContainer:
    """A container image that shall be there: of `base` (an image of a registry, rootfs:DIR, oci:PATH, scratch), with
    the files, variables and setup of `task`, and the texts `before`. `push` is the reference under which a registry
    gets it ("": none); `again` builds it also where it is there already."""

    name: str
    base: str
    task: Task
    before: Mapping[str, str] = field(factory=dict)
    push: str = ""
    again: bool = False


def build(wanted: WantedContainer, out: BinaryIO, notify: Notify) -> Container:
    """Have this container image, and push it if that is wanted. What is there already, of the same recipe, is not built
    again. BadInput for what cannot be, before anything is made; JobFailed where a text fails."""
    name, task = imagery.check_name(wanted.name), wanted.task
    if buckets_of(task):
        raise BadInput("a container image is built without buckets", hint="leave them to the task that runs in it")
    if wanted.push:
        containers.require_skopeo()
    texts = {**wanted.before, **({"setup": task.setup} if task.setup else {})}
    mounts = mounts_of(task)
    mounts.require_sources()
    parts = {key: value for key, value in setups.parts(task).items() if not key.startswith(("text:", "variable:"))}
    recipe = containers.digest_of(wanted.base + _mark(wanted.base), texts, task.env, parts)
    with building.alone(f"{name}.container"), tempfile.TemporaryDirectory(prefix="skyrig-image-") as folder:
        made = containers.read(name)
        if made is None or made.recipe != recipe or wanted.again:
            files = {containers.FOLDER: _picked(task, Path(folder))} if task.folder is not None else {}
            made = containers.build(
                name,
                wanted.base,
                texts,
                task.env,
                task.secrets,
                {**files, **mounts.sources},
                recipe,
                lambda line: (out.write(line), out.flush()),
                notify,
            )
        else:
            notify(f"container {name} is there already, of this recipe; --force builds it again")
        return containers.push(made, wanted.push, notify) if wanted.push else made


def delete(name: str, notify: Notify) -> None:
    """Remove a container image from this machine. What was pushed stays in its registry."""
    made = containers.read(name)
    if made is None:
        containers.pushed(name)
    with building.alone(f"{name}.container"):
        containers.delete(name)
    notify(f"container {name} is gone" + (f"; {made.pushed} stays" if made is not None and made.pushed else ""))


def _picked(task: Task, folder: Path) -> Path:
    """The files of the workdir that would be sent to nodes, in a folder of their own."""
    root = Path(os.path.realpath(task.folder or "."))
    for each in select(root, named_in=[task.setup or ""]).picked:
        target = folder / each.path
        if each.kind == "dir":
            target.mkdir(parents=True, exist_ok=True)
        elif each.kind == "link":
            target.symlink_to((root / each.path).readlink())
        else:
            shutil.copy2(root / each.path, target)
    return folder


def _mark(base: str) -> str:
    """What tells one state of a base on this machine from another; "" for one of a registry."""
    kind, _, place = base.partition(":")
    if kind == "oci" and Path(place).is_file():
        said = Path(place).stat()
        return f"#{said.st_size}.{said.st_mtime_ns}"
    if kind == "oci" and (Path(place) / "index.json").is_file():
        return "#" + hashlib.sha256((Path(place) / "index.json").read_bytes()).hexdigest()
    if kind != "rootfs":
        return ""
    if not Path(place).is_dir():
        raise BadInput(f"{place} is no folder", hint="--rootfs DIR")
    top = sorted((each.name, each.lstat().st_mtime_ns) for each in Path(place).iterdir())
    return "#" + hashlib.sha256(json.dumps(top).encode()).hexdigest()
