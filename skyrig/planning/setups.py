"""What a task's setup depends on, as far as it is known before there is a cluster; and what an image saves of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from skyrig import imaging
from skyrig.cluster import imagery
from skyrig.cluster.shape import Shape
from skyrig.fleet.content import Entry, Manifest
from skyrig.fleet.workdir import select
from skyrig.images import prepared
from skyrig.images.prepared import Prepared
from skyrig.launch.environment import PREFIXES
from skyrig.launch.keeper import sameness
from skyrig.launch.render import render_setup
from skyrig.stack import agreement
from skyrig.submitting import RunOptions, buckets_of, mounts_of, task_request
from skyrig.task.model import GitSource, Task

_OF_CLUSTER = re.compile(r"\b(?:SKYPILOT|SKYRIG)_(?:CLUSTER_INFO|SETUP_NODE_IPS|SETUP_NODE_RANK)\b")


@frozen
class Saving:
    """What the image `name` means for a task: `setup` is "in the image", "differs" (`why` says in what), "runs" (the
    image has none, or nobody knows) or "none" (the task has none); `seconds` is what it took when the image was built,
    `copied_to` the region that the image is copied to first ("": it is there)."""

    name: str
    setup: str
    why: str = ""
    seconds: float = 0.0
    copied_to: str = ""

    def __str__(self) -> str:
        copied = f"; it will be copied to {self.copied_to} first" if self.copied_to else ""
        if self.setup == "in the image":
            saved = f"saves {self.seconds:.0f} s, as long as it took on the builder"
            return f"image {self.name}: setup is in the image, which {saved}{copied}"
        if self.setup == "differs":
            return f"image {self.name}: setup differs from the image's: it will run ({self.why}){copied}"
        said = "the task has no setup" if self.setup == "none" else "setup will run"
        return f"image {self.name}: {said}{copied}"

    def to_json(self) -> dict[str, Any]:
        """The object `image` of `plan --json`."""
        saved = self.seconds if self.setup == "in the image" else 0.0
        return {
            "name": self.name,
            "setup": self.setup,
            "why": self.why,
            "saves_s": saved,
            "copied_to": self.copied_to or None,
        }


def saving(task: Task, shape: Shape) -> Saving | None:
    """What the image that nodes of `shape` begin with means for a task; None where it is none of ours."""
    ours = _begins_with(task, shape)
    if ours is None:
        return None
    copied = shape.machine.region if imaging.is_missing(shape) else ""
    if not task.setup:
        return Saving(ours, "none", copied_to=copied)
    if (own := cluster_variable(task.setup)) is not None:
        return Saving(ours, "differs", f"{own} is another one on each cluster", copied_to=copied)
    known = of_image(ours)
    if known is None or not known.parts:
        return Saving(ours, "runs", copied_to=copied)
    now = prepared.hashed(parts(task), known.salt)
    why = sameness.difference(json.dumps(dict(known.parts)), now)
    if why is None:
        return Saving(ours, "in the image", seconds=known.seconds, copied_to=copied)
    return Saving(ours, "differs", why, copied_to=copied)


def cluster_variable(setup: str) -> str | None:
    """The variable of Skyrig's in the text of a setup that no two clusters have the same value of, or no two nodes: the
    setup is another one there than on a builder. None where there is none such."""
    named = _OF_CLUSTER.search(setup)
    return named[0] if named else None


def _begins_with(task: Task, shape: Shape) -> str | None:
    """NAME of the image of ours that nodes of `shape` begin with, for that of the task's candidates which it is for;
    None where they begin with another one, or the nodes that are there with none."""
    begins = shape.machine.image.partition(",")[0]
    images = (each.image for each in task.choice.each if each.image is not None)
    return next((each.ours for each in images if each.ours and begins in each.by_region.values()), None)


def of_image(name: str) -> Prepared | None:
    """What an image has of a setup, by its stack's config; None where nothing is known."""
    wanted = agreement.come_to(imagery.stack_of(name)).imaged
    text = dict(wanted.facts).get(prepared.FACT) if wanted is not None else None
    return prepared.from_text(text) if text is not None else None


def parts(task: Task) -> dict[str, str]:
    """What decides about the setup of a task, by the names that `skyrig.launch.keeper.sameness` has for it; secrets do
    not, for an image has none. Files are read where the setup makes use of them; of a git repository, which is not
    fetched for this, its address counts."""
    text = task.setup or ""
    files = _files_used(task.folder, text) if task.folder is not None else {}
    mounts = {f"mount:{target}": content(source) for target, source in mounts_of(task).sources.items()}
    buckets = {f"mount:{each.target}": f"{each.mode} {each}" for each in buckets_of(task)}
    ours = {name: value for name, value in _ours(task).items() if re.search(rf"\b{name}\b", text)}
    known = {**ours, **task.env}
    variables = {f"variable:{name}": value for name, value in known.items() if name not in sameness.VOLATILE}
    git = {"git:workdir": f"{task.workdir.url} {task.workdir.ref}"} if isinstance(task.workdir, GitSource) else {}
    return {"text:": text, **variables, **files, **git, **mounts, **buckets}


def _ours(task: Task) -> dict[str, str]:
    """Variables that every setup of the task finds, on whatever cluster (skyrig.launch.environment)."""
    request = task_request(task, RunOptions(), setup=False)
    known = {
        "NUM_NODES": str(request.num_nodes),
        "USER": request.user,
        "SETUP_NUM_GPUS_PER_NODE": str(request.accelerators),
    }
    return {prefix + name: value for prefix in PREFIXES for name, value in known.items()}


def _files_used(folder: Path, text: str) -> dict[str, str]:
    """Hash by `file:PATH` of the files of the workdir that a setup uses. Only those are read."""
    root = Path(os.path.realpath(folder))
    picked = [each for each in select(root, named_in=[text]).picked if each.kind != "link"]
    entries = []
    for each in picked:
        size = (root / each.path).lstat().st_size if each.kind == "file" else 0
        name = hashlib.sha256(os.fsencode(each.path)).hexdigest() if each.kind == "file" else ""
        entries.append(Entry(each.path, each.kind, 0o644, size, name))
    paths = {each.sha256: each.path for each in entries}  # names stand for contents, which are not read

    def read(name: str) -> bytes:
        return (root / paths[name]).read_bytes()

    used = sameness.files_used(render_setup(text).files["user.sh"], Manifest(entries), read)
    return {f"file:{path}": _hash(root / path) for path in used}


def content(source: Path | None) -> str:
    """One hash for all that would be sent to nodes of a local file or folder."""
    if source is None:
        return ""
    if source.is_file():
        return _hash(source)
    picked = select(source, what="file_mounts").picked
    said: Mapping[str, str] = {
        each.path: _hash(source / each.path)
        if each.kind == "file"
        else str((source / each.path).readlink())
        if each.kind == "link"
        else ""
        for each in picked
    }
    return hashlib.sha256(json.dumps(sorted(said.items())).encode()).hexdigest()


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    return f"{digest.hexdigest()} {mode:o}"
