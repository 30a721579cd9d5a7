"""The field `file_mounts`: files and folders that are copied to the nodes, and buckets that are copied or mounted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from skyrig.task import disks, document
from skyrig.task.disks import Disk
from skyrig.task.node import Node, internal, one_word
from skyrig.task.problems import Problems

MODES = ("MOUNT", "COPY", "MOUNT_CACHED")
TYPES = ("MODEL_CHECKPOINT_RO", "MODEL_CHECKPOINT_RW", "DATASET_RO", "DATASET_RW")
STORES = ("S3", "GCS", "AZURE", "R2", "IBM", "OCI", "NEBIUS", "COREWEAVE", "VASTDATA", "HF", "VOLUME")
"""Kinds of object stores, as SkyPilot 0.14.1 names them."""

WORKDIR = "~/sky_workdir"
"""Where the workdir lies on the nodes."""

_URL = re.compile(
    r"(?:s3|gs|r2|cos|oci|nebius|cw|vastdata|hf)://|https://[^/]+\.blob\.core\.windows\.net/", re.IGNORECASE
)
_MEMORY = r"[0-9]+[bkmgtpBKMGTP]?"
_DURATION = r"(?:[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:ms|[smhdwMy]))+|[-+]?(?:\d+(?:\.\d+)?|\.\d+)"


@frozen
class Storage:
    """A bucket at a mount point: found by `name`, or by `source` where that is its url. Other sources are local paths
    whose files go into it. `mount` and `mount_cached` are options of the mount, as they were given."""

    name: str | None = None
    source: str | tuple[str, ...] | None = None
    store: str | None = None
    mode: str = "MOUNT"
    persistent: bool = True
    type: str | None = None
    mount: Mapping[str, Any] | None = None
    mount_cached: Mapping[str, Any] | None = None

    @property
    def is_local_copy(self) -> bool:
        """Whether this is a local folder for which no bucket is named: it is copied to the nodes."""
        return self.name is None and isinstance(self.source, str) and not is_url(self.source)


@frozen
class FileMounts:
    """All of the field by mount point: plain copies, buckets, and disks that are to be attached."""

    copies: Mapping[str, str] = field(factory=dict)
    buckets: Mapping[str, Storage] = field(factory=dict)
    disks: tuple[Disk, ...] = ()


def is_url(text: str) -> bool:
    """Whether a source or target is a bucket's url rather than a path."""
    return _URL.match(text) is not None


def read(node: Node, *, has_workdir: bool) -> FileMounts:
    """The mounts; what is wrong with one is noted, and it is left out."""
    copies: dict[str, str] = {}
    buckets: dict[str, Storage] = {}
    attached: list[Disk] = []
    for target, each in node.fields().items():
        _check_target(each, target, has_workdir=has_workdir)
        if isinstance(each.data, str):
            copies[target] = _copied(each)
        elif isinstance(each.data, dict):
            mounted = each.read(lambda inner, target=target: _mounted(inner, target), None)  # type: ignore[misc]
            if isinstance(mounted, Storage):
                buckets[target] = mounted
            elif mounted is not None:
                attached.append(mounted[0])
                copies |= mounted[1]
        else:
            each.note(f"a path, a url or a mapping is wanted, not {each.shown}")
    return FileMounts(copies, buckets, tuple(attached))


def of_plain(data: Mapping[str, Any], name: str) -> None:
    """BadInput, which tells all of it, where plain data that a program has made is no bucket for a mount point; `name`
    says which call, and stands for the file in messages."""
    problems = Problems()
    document.of_plain(data, name, problems).read(lambda node: _mounted(node, ""), None)
    problems.raise_if_any()


def _check_target(node: Node, target: str, *, has_workdir: bool) -> None:
    if is_url(target):
        node.note("a bucket is a source, and no place on the nodes")
    elif not target.startswith(("/", "~")):
        node.note("a place on the nodes begins with / or ~")
    elif target.endswith("/"):
        node.note("a place on the nodes has no / at its end")
    elif target == WORKDIR and has_workdir:
        node.note("is where the workdir goes; name a file or folder inside it")


def _copied(node: Node) -> str:
    """The source of a plain copy: a url, or a local path that shall be there."""
    source = node.text()
    if not source.strip():
        node.note("is empty; a path or a url is wanted")
    elif not is_url(source):
        if source.endswith("/") and source != "/":
            node.note("a source has no / at its end")
        _look_for(node, source)
    return source


def _look_for(node: Node, source: str) -> None:
    try:
        there = Path(source).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        there = False
    if not there:
        node.problems.absent(node.where, node.path, f"{source} is not there")


def _mounted(node: Node, target: str) -> Storage | tuple[Disk, dict[str, str]]:
    given = node.read_fields(_TABLE, null_is_absent=True)
    config = given.pop("config", {})
    if given.get("store") == "VOLUME":
        return _disk(node, target, given, config)
    for name in disks.FIELDS:
        if name in config:
            node.problems.warn(node.where, f"{node.path}.config.{name}", "says nothing without `store: volume`")
    known = {name: value for name, value in given.items() if not name.startswith("_")}
    storage = Storage(**known, mount=config.get("mount"), mount_cached=config.get("mount_cached"))
    _check(node, storage)
    return storage


def _disk(node: Node, target: str, given: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Disk, dict[str, str]]:
    known = {name: config[name] for name in disks.FIELDS if name in config}
    disk = Disk(target, given.get("name"), auto_delete=not given.get("persistent", False), **known)
    source = given.get("source")
    return disks.checked(node, disk), {f"{target}/data": source} if isinstance(source, str) else {}


def _check(node: Node, storage: Storage) -> None:
    """What only the fields together tell: a bucket has one name, and a source fits the mode."""
    place, url = node.fields(), isinstance(storage.source, str) and is_url(storage.source)
    mounts = storage.mode != "COPY"
    if storage.mount_cached is not None and storage.mode != "MOUNT_CACHED":
        place["config"].note("mount_cached says nothing but with mode MOUNT_CACHED")
    if storage.mount is not None and storage.mode != "MOUNT":
        place["config"].note("mount says nothing but with mode MOUNT")
    if storage.type is not None and storage.mode != "MOUNT_CACHED":
        place["type"].note("says nothing but with mode MOUNT_CACHED")
    if storage.name is not None and is_url(storage.name):
        place["name"].note("a bucket's name is wanted; a url goes to `source`")
    elif storage.name is not None and url:
        place["name"].note("the bucket is named by its url in `source`; leave `name` out")
    if url and mounts and _below_bucket(str(storage.source)):
        place["source"].note("a whole bucket is mounted, not a folder in it; COPY takes folders")
    if storage.source is None and not mounts:
        node.note("COPY needs a `source`")
    if storage.source is not None and not url:
        _check_local(place["source"], storage)
    _mend_name(node, storage, url=url)


def _check_local(node: Node, storage: Storage) -> None:
    sources = [storage.source] if isinstance(storage.source, str) else list(storage.source or ())
    for source in sources:
        _look_for(node, source)
    names = [Path(source).name for source in sources]
    for name in sorted({name for name in names if names.count(name) > 1}):
        node.note(f"two sources are called {name}; they would lie in one place")
    if isinstance(storage.source, str) and Path(storage.source).expanduser().is_file():
        node.note("a folder is wanted, or a list of files")


def _mend_name(node: Node, storage: Storage, *, url: bool) -> None:
    """A bucket without a name has one clear meaning: a local folder is copied to the nodes, any other gets a name."""
    if storage.name is not None or url:
        return
    if storage.is_local_copy:
        how = f"no bucket is named; {storage.source} is copied to every node, and what is written there stays there"
    else:
        how = "no bucket is named; it gets one named after the task"
    node.problems.mend(node.where, node.path, how)


def _below_bucket(url: str) -> bool:
    """Whether a url names something inside a bucket."""
    if url.lower().startswith("hf://"):
        return False
    depth = 2 if url.lower().startswith(("https://", "cos://")) else 1  # an account, a region stands before the bucket
    path = url.split("://", 1)[1].strip("/").split("/")
    return len(path) > depth


def _source(node: Node) -> str | tuple[str, ...]:
    if isinstance(node.data, list):
        if not node.data:
            raise node.wrong("is an empty list")
        return tuple(each.filled_text() for each in node.data)
    return node.filled_text()


def _mount_cached(node: Node) -> dict[str, Any]:
    def size(each: Node) -> str:
        return each.matching(_MEMORY, "a size, for instance 64M or 10G,")

    def time(each: Node) -> str:
        return each.matching(_DURATION, "a time, for instance 5s or 1h,")

    return node.read_fields(
        {
            "transfers": lambda each: each.whole(1),
            "buffer_size": size,
            "vfs_cache_max_size": size,
            "vfs_cache_max_age": time,
            "vfs_read_ahead": size,
            "vfs_read_chunk_size": size,
            "vfs_read_chunk_streams": lambda each: each.whole(0),
            "vfs_write_back": time,
            "read_only": Node.switch,
        }
    )


def _mount(node: Node) -> dict[str, Any]:
    return node.read_fields(
        {"read_only": Node.switch, "hf_mount_args": lambda each: [word.text() for word in each.items()]}
    )


def _config(node: Node) -> dict[str, Any]:
    return node.read_fields({"mount_cached": _mount_cached, "mount": _mount, **disks.FIELDS}, open_ended=True)


_TABLE: dict[str, Any] = {
    "name": Node.text,
    "source": _source,
    "store": one_word(STORES),
    "persistent": Node.switch,
    "mode": one_word(MODES),
    "type": one_word(TYPES),
    "config": _config,
    **dict.fromkeys(("_is_sky_managed", "_bucket_sub_path", "_force_delete"), internal),
}
