"""Local files on their way into a bucket, before nodes see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from skyrig.errors import BadInput
from skyrig.fleet.workdir import select
from skyrig.storage import rclone
from skyrig.storage.remote import Remote
from skyrig.storage.wanted import WantedBucket


def bring(wanted: WantedBucket, path: str, remote: Remote, notify: Callable[[str], None]) -> None:
    """Copy the sources of `wanted` to `path` of a remote, what is there already apart: the contents of one folder to
    its top, of several things each under its own name. What .skyignore or .gitignore leave out stays here. Nothing is
    removed from the bucket. StorageError where it does not take them."""
    several = len(wanted.sources) > 1 or wanted.sources[0].is_file()
    for source in wanted.sources:
        if not source.exists():
            raise BadInput(f"file_mounts.{wanted.target}: {source} is not there")
        notify(f"bucket {wanted.name}: {source} is brought into it")
        if source.is_file():
            words = ["copyto", str(source), f"skyrig:{path}/{source.name}"]
            rclone.run(words, {"skyrig": remote}, what=f"bucket {wanted.name}")
        else:
            _folder(source, f"{path}/{source.name}" if several else path, remote, wanted, notify)


def _folder(source: Path, path: str, remote: Remote, wanted: WantedBucket, notify: Callable[[str], None]) -> None:
    selection = select(source, named_in=(), what=f"file_mounts.{wanted.target}")
    for note in selection.notes:
        notify(f"file_mounts.{wanted.target}: {note}")
    names = [picked.path for picked in selection.picked if picked.kind != "dir"]
    listed = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
    words = ["copy", "--files-from-raw", "-", "--copy-links", "--transfers", "16", str(source), f"skyrig:{path}"]
    rclone.run(words, {"skyrig": remote}, what=f"bucket {wanted.name}", given=listed)
