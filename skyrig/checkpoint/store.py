"""Where checkpoints lie: a flat set of names with contents. Little is asked of a store, so that much can be one.

No rename, no lock, no atomic write: a reader may meet half of what is being put. Names are relative, with slashes.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from skyrig.errors import BadInput

Block = bytes | bytearray | memoryview
"""A part of a content."""

_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EROFS}
"""What mounts answer that have no fsync."""


class Store(Protocol):
    """What the manager needs of a place. Failures are OSError, or what the place's own SDK raises. One from which bytes
    come cheaper the second time has an attribute `is_near` that is true."""

    def put(self, name: str, blocks: Iterable[Block]) -> None:
        """Write a content, whole when this returns; one of that name is replaced. A block is valid until the next."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes | bytearray:
        """`length` bytes from `start` on, fewer at the end, all without `length`. FileNotFoundError without any."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Bytes of each content whose name begins with `prefix`."""

    def delete(self, names: Iterable[str]) -> None:
        """Remove contents; those that are not there are no error."""


class FolderStore:
    """A folder, also one of a mounted bucket, on which all ranks must look. It is made when something is put."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser().absolute()

    def __str__(self) -> str:
        return str(self.root)

    @property
    def is_near(self) -> bool:
        """Whether it is on a disk of this machine, whose content stays in memory: mounts of buckets and shares have no
        device."""
        try:
            return os.major(self.root.stat().st_dev) != 0
        except OSError:
            return False

    def put(self, name: str, blocks: Iterable[Block]) -> None:
        """See Store. What could not be written whole is removed."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("wb", buffering=0) as file:
                for block in blocks:
                    _write(file.fileno(), block)
                _sync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        with contextlib.suppress(OSError):  # many a mount cannot open a folder
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                _sync(folder)
            finally:
                os.close(folder)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes | bytearray:
        """See Store."""
        with (self.root / name).open("rb", buffering=0) as file:
            file.seek(start)
            if length is None:
                return file.readall()
            found, count = bytearray(length), 0
            with memoryview(found) as view:
                while count < length and (more := file.readinto(view[count:])):
                    count += more
            del found[count:]
            return found

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """See Store. Files that vanish meanwhile are left out."""
        found: dict[str, int] = {}
        beginning = self.root / prefix
        folders = [beginning if prefix.endswith("/") or not prefix else beginning.parent]
        while folders:
            with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
                for entry in entries:
                    name = Path(entry.path).relative_to(self.root).as_posix()
                    if not f"{name}/".startswith(prefix):  # the folder may hold more than checkpoints
                        continue
                    if entry.is_dir():
                        folders.append(Path(entry.path))
                    else:
                        found[name] = entry.stat().st_size
        return found

    def delete(self, names: Iterable[str]) -> None:
        """See Store. Folders that it empties go too."""
        for name in names:
            path = self.root / name
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty, or there are no folders in there
                if path.parent != self.root:
                    path.parent.rmdir()


def open_store(where: str | os.PathLike[str] | Store) -> Store:
    """The store that `where` names: a folder, `s3://BUCKET/PREFIX`, or a store itself. BadInput for other urls."""
    if not isinstance(where, (str, os.PathLike)):
        return where
    scheme, separator, _ = os.fspath(where).partition("://")
    if not separator:
        return FolderStore(where)
    if scheme == "s3":
        from skyrig.checkpoint.s3 import S3Store

        return S3Store(os.fspath(where))
    if scheme == "file":
        return FolderStore(os.fspath(where)[len("file://") :])
    raise BadInput(
        f"checkpoints cannot be kept at {os.fspath(where)}: {scheme}:// is not known",
        hint="give a folder (a mounted bucket is one), s3://BUCKET/PREFIX, or an object with the methods of Store",
    )


def _write(descriptor: int, block: Block) -> None:
    left = memoryview(block).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]


def _sync(descriptor: int) -> None:
    """To the disk, where that means anything."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
