"""What a task's file_mounts ask of its nodes beside buckets: local files and folders to bring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from skyrig.errors import BadInput
from skyrig.fleet.nesting import normal
from skyrig.storage.wanted import is_model_hub
from skyrig.task.storage import WORKDIR, FileMounts, Storage, is_url


@frozen
class Mounts:
    """By target, a normal path on the nodes, the local file or folder that goes there; None for a folder that is only
    made. `buckets` are the targets of buckets; `warnings` are lines for the reader."""

    sources: Mapping[str, Path | None] = field(factory=dict)
    buckets: tuple[str, ...] = ()
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
        for target in (*self.sources, *self.buckets):
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
    buckets: dict[str, str] = {}
    warnings: list[str] = []
    all_given: dict[str, str | Storage] = {**mounts.copies, **mounts.buckets}
    for target, given in all_given.items():
        place = normal(target)
        if place in sources or place in buckets or (has_workdir and place == WORKDIR):
            raise BadInput(f"file_mounts.{target}: two things cannot go to one place")
        source = given if isinstance(given, str) else given.source
        if is_model_hub(source):
            sources[place] = None
            warnings.append(
                f"file_mounts.{target}: {source} is no bucket; {target} is an ordinary folder on each node"
                " (`hf download` fills it)"
            )
        elif isinstance(given, str) and not is_url(given):
            sources[place] = Path(given).expanduser()
        elif isinstance(given, Storage) and given.is_local_copy:
            sources[place] = Path(str(given.source)).expanduser()
        else:
            buckets[place] = target
    _refuse_overlaps(sources, buckets)
    return Mounts(sources, tuple(buckets), tuple(warnings))


def _refuse_overlaps(sources: Mapping[str, Path | None], buckets: Mapping[str, str]) -> None:
    """BadInput where something would lie inside a bucket's place, or a bucket inside what is brought."""
    for place, target in buckets.items():
        for other in (*sources, *buckets):
            inner, outer = (place, other) if place.startswith(f"{other}/") else (other, place)
            if inner.startswith(f"{outer}/"):
                raise BadInput(
                    f"file_mounts.{target}: {inner} lies inside {outer}, and one of them is a bucket",
                    hint="give each a place of its own",
                )
