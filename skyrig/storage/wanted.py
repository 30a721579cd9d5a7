"""Which buckets a task wants where: those of its file_mounts that are no local files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve, field, frozen

from skyrig.cluster import stores
from skyrig.cluster.buckets import check_name
from skyrig.errors import BadInput
from skyrig.fleet.nesting import normal
from skyrig.storage import url as urls
from skyrig.storage.url import BucketUrl
from skyrig.task.storage import FileMounts, Storage, is_url

_READ_ONLY = {"read-only": ""}
_LARGE_FILES = {"vfs-read-chunk-size": "32M", "vfs-read-chunk-streams": "16"}
_SMALL_FILES = {"vfs-read-ahead": "8M"}
_OF_TYPE: Mapping[str, Mapping[str, str]] = {
    "MODEL_CHECKPOINT_RO": {**_LARGE_FILES, **_READ_ONLY},
    "MODEL_CHECKPOINT_RW": {**_LARGE_FILES, "transfers": "8"},
    "DATASET_RO": {**_SMALL_FILES, **_READ_ONLY},
    "DATASET_RW": _SMALL_FILES,
}
"""Flags of a mount by the task's word for what it holds."""


@frozen
class WantedBucket:
    """A bucket for `target`, a normal path on the nodes. It exists already at `url`, or is ours by `name`: then
    `sources`, local paths, go into it first, and it is made in `store` ("" for that of the cluster's cloud) where it is
    not there; with `persistent` it outlives the cluster. `options` are flags of the mount."""

    target: str
    mode: str
    url: BucketUrl | None = None
    name: str = ""
    sources: tuple[Path, ...] = ()
    store: str = ""
    persistent: bool = True
    options: Mapping[str, str] = field(factory=dict)

    def __str__(self) -> str:
        return str(self.url) if self.url is not None else self.name


def of(mounts: FileMounts, task: str, owner: str = "") -> tuple[WantedBucket, ...]:
    """All of a task's buckets; `task` and `owner` name those that have no name. BadInput for what cannot be had."""
    wanted = [
        WantedBucket(normal(target), "COPY", urls.read(source))
        for target, source in mounts.copies.items()
        if is_url(source) and not is_model_hub(source)
    ]
    for target, storage in mounts.buckets.items():
        if not storage.is_local_copy and not is_model_hub(storage.source):
            wanted.append(_wanted(normal(target), storage, _made_up(task, owner, target)))
    return tuple(wanted)


def opened_by(cloud: str, wanted: Sequence[WantedBucket]) -> set[str]:
    """Urls of those buckets that nodes of `cloud` open by what they are, once the cluster's identity may: all of its
    own store. Where they go by ids, only those who made them know these."""
    store = stores.of_cloud(cloud)
    if not stores.is_own(store, cloud) or stores.all_known()[store].reached_by != "url":
        return set()
    found = {str(BucketUrl(store, each.name)) for each in wanted if each.name and each.store in ("", store)}
    return found | {str(evolve(each.url, key="")) for each in wanted if each.url and each.url.store == store}


def is_model_hub(source: object) -> bool:
    """Whether a source is on Hugging Face's hub, which is no object store: rclone does not speak with it."""
    return isinstance(source, str) and source.lower().startswith("hf://")


def _wanted(target: str, storage: Storage, otherwise: str) -> WantedBucket:
    options = {**_OF_TYPE.get(storage.type or "", {}), **_flags(storage.mount_cached), **_flags(storage.mount)}
    if isinstance(storage.source, str) and is_url(storage.source):
        return WantedBucket(target, storage.mode, urls.read(storage.source), options=options)
    store = _store(storage.store, target)
    name = _checked(storage.name or otherwise, store or "s3", target)
    given = [storage.source] if isinstance(storage.source, str) else list(storage.source or ())
    return WantedBucket(
        target,
        storage.mode,
        name=name,
        sources=tuple(Path(source).expanduser() for source in given),
        store=store,
        persistent=storage.persistent,
        options=options,
    )


def _store(asked: str | None, target: str) -> str:
    store = (asked or "").lower()
    ours = [name for name, keeping in stores.all_known().items() if keeping.region]
    if store and store not in ours:
        raise BadInput(
            f"file_mounts.{target}: Skyrig makes no buckets in store {store}",
            hint=f"make it there and give its url as `source`, or take one of {', '.join(ours)}",
        )
    return store


def _checked(name: str, store: str, target: str) -> str:
    try:
        return check_name(store, name)
    except BadInput as error:
        raise BadInput(f"file_mounts.{target}: {error.message}", hint=error.hint) from None


def _flags(config: Mapping[str, object] | None) -> dict[str, str]:
    """Options of a task file as flags of `rclone mount`."""
    flags = {}
    for name, value in (config or {}).items():
        if name == "hf_mount_args" or value is False or value is None:
            continue
        flags[name.replace("_", "-")] = "" if value is True else str(value)
    return flags


def _made_up(task: str, owner: str, target: str) -> str:
    """The name of a bucket that was given none: of the task and the place, the same each time."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{task or 'task'}-{normal(target)}".lower()).strip("-")
    return f"{words[:48].strip('-')}-{hashlib.sha256(f'{owner} {task} {target}'.encode()).hexdigest()[:6]}"
