"""Container images out of tasks and recipes: the same setups as a machine image has, done on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from attrs import field, frozen

from skyrig.bringing import Confirm, Notify
from skyrig.cluster import imagery
from skyrig.errors import BadInput
from skyrig.fleet.workdir import select
from skyrig.images import building, containers
from skyrig.images.containers import Brought, Container
from skyrig.images.oci import layers
from skyrig.planning import setups
from skyrig.submitting import buckets_of, mounts_of, workdir_of
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
    workdir = workdir_of(task, notify)
    parts |= {"workdir:": setups.content(workdir)} if workdir is not None else {}
    recipe = containers.digest_of(wanted.base + _mark(wanted.base), texts, task.env, parts)
    with building.alone(f"{name}.container"):
        made = containers.read(name)
        if made is None or made.recipe != recipe or wanted.again:
            files = {containers.FOLDER: _picked(workdir, "workdir", task.setup)} if workdir is not None else {}
            files |= {target: _mounted(target, source) for target, source in mounts.sources.items()}
            made = containers.build(
                name,
                wanted.base,
                texts,
                task.env,
                task.secrets,
                files,
                recipe,
                lambda line: (out.write(line), out.flush()),
                notify,
            )
        else:
            notify(f"container {name} is there already, of this recipe; --force builds it again")
        return containers.push(made, wanted.push, notify) if wanted.push else made


def delete(name: str, notify: Notify, confirm: Confirm) -> None:
    """Remove a container image from this machine, and what a build of it has left. What was pushed stays in its
    registry. BadInput where there is none, and without consent."""
    name = imagery.check_name(name)
    with building.alone(f"{name}.container"):
        made = containers.read(name)
        if made is not None and not confirm(f"delete container image {name}?"):
            raise BadInput(f"container image {name} stays", hint="answer y, or give -y")
        if not containers.delete(name):
            containers.pushed(name)
    notify(f"container {name} is gone" + (f"; {made.pushed} stays" if made is not None and made.pushed else ""))


def _mounted(target: str, source: Path | None) -> Brought:
    if source is None or source.is_file():
        return Brought(source)
    return _picked(source, f"file_mounts.{target}")


def _picked(folder: Path, what: str, text: str | None = None) -> Brought:
    """What of a folder would be sent to nodes; `text` is that of the setup."""
    root = Path(os.path.realpath(folder))
    picked = select(root, named_in=[text] if text else [], what=what).picked
    return Brought(root, tuple(each.path for each in picked))


def _mark(base: str) -> str:
    """What tells one state of a base on this machine from another; "" for one of a registry."""
    kind, _, said = base.partition(":")
    place = Path(said).expanduser()
    if kind == "oci" and place.is_file():
        found = place.stat()
        return f"#{found.st_size}.{found.st_mtime_ns}"
    if kind == "oci" and (place / "index.json").is_file():
        return "#" + hashlib.sha256((place / "index.json").read_bytes()).hexdigest()
    if kind != "rootfs":
        return ""
    if not place.is_dir():
        raise BadInput(f"{place} is no folder", hint="--rootfs DIR")
    marks = sorted((str(path), *_stat(path)) for path in layers.walk(place))
    return "#" + hashlib.sha256(json.dumps(marks).encode()).hexdigest()


def _stat(path: Path) -> tuple[int, ...]:
    found = path.lstat()
    times = () if stat.S_ISDIR(found.st_mode) else (found.st_size, found.st_mtime_ns)
    return (found.st_mode, found.st_uid, found.st_gid, *times)
