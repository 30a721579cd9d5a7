"""What a task's file_mounts ask of its nodes: local files and folders to bring, and buckets, not attached yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from skyrig.errors import BadInput
from skyrig.fleet.nesting import normal
from skyrig.task.storage import WORKDIR, FileMounts, Storage, is_url


@frozen
class Mounts:
    """By target, a normal path on the nodes, the local file or folder that goes there; None for a folder that is only
    made. `warnings` are lines for the reader."""

    sources: Mapping[str, Path | None] = field(factory=dict)
    warnings: tuple[str, ...] = ()

    def require_sources(self) -> None:
        """BadInput where a source is not there, or is no file and no folder."""
        for target, source in self.sources.items():
            if source is not None and not source.exists():
                raise BadInput(f"file_mounts.{target}: {source} is not there")
            if source is not None and not (source.is_dir() or source.is_file()):
                raise BadInput(f"file_mounts.{target}: {source} is neither a file nor a folder")

    def refuse_outside_home(self) -> None:
        """BadInput for targets that would be the host's own where nodes share its file system."""
        for target in self.sources:
            if not target.startswith("~"):
                raise BadInput(
                    f"file_mounts.{target}: local nodes of isolation `plain` share this machine's disk, so only places "
                    "in their home can be had",
                    hint=f"use ~{target}, or a Linux machine whose nodes have isolation `namespaces`",
                )


NO_MOUNTS = Mounts()


def of(mounts: FileMounts, *, has_workdir: bool) -> Mounts:
    """The mounts of a task. BadInput for targets that cannot be."""
    sources: dict[str, Path | None] = {}
    warnings: list[str] = []
    all_given: dict[str, str | Storage] = {**mounts.copies, **mounts.buckets}
    for target, given in all_given.items():
        place = normal(target)
        if place in sources or (has_workdir and place == WORKDIR):
            raise BadInput(f"file_mounts.{target}: two things cannot go to one place")
        sources[place] = source = _local(given)
        if source is None:
            warnings.append(_not_attached(target, given))
    return Mounts(sources, tuple(warnings))


def _local(given: str | Storage) -> Path | None:
    """What is brought from here; None for what lies in a bucket."""
    if isinstance(given, str):
        return None if is_url(given) else Path(given).expanduser()
    return Path(str(given.source)).expanduser() if given.is_local_copy else None


def _not_attached(target: str, given: str | Storage) -> str:
    """Until object storage is attached, the one place that says so."""
    if isinstance(given, str):
        what = given
    elif isinstance(given.source, str) and is_url(given.source):
        what = given.source
    else:
        what = f"bucket {given.name}" if given.name else "its bucket"
    return f"file_mounts.{target}: {what} is not attached yet; {target} is an ordinary folder on each node"
