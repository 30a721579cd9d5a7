"""Layers in the client's cache: made once, whole or not at all, for all clusters and clones.

A layer is named by what it is made from (pins, platform, code), and lies in the cache as one tar.gz with a note beside
it that holds its SHA-256. The note is written last.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import asdict, frozen

from skyrig import places


@frozen
class Member:
    """One file of a layer: `name` with slashes, its bytes or the target of a symlink, and whether it can be run."""

    name: str
    data: bytes = b""
    link: str = ""
    executable: bool = False


@frozen
class Layer:
    """A layer in the cache. `sha256` and `packed` (bytes) are of its file, `unpacked` (bytes) of what is in it."""

    name: str
    sha256: str
    packed: int
    unpacked: int

    @property
    def path(self) -> Path:
        """The file; its name is its hash."""
        return folder() / f"{self.sha256}.tar.gz"


def folder() -> Path:
    """Where the cache's layers lie."""
    return places.cache() / "runtime"


def layer(name: str, make: Callable[[Path], Iterable[Member]]) -> Layer:
    """The layer called `name`, out of the cache or made by `make(scratch)`, which gets an empty folder to work in.

    Of two callers at once, one makes it and the other waits. What a killed one left is removed by the next.
    """
    places.made(folder())
    with (folder() / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        known = _known(name)
        if known is not None:
            return known
        scratch = folder() / f"{name}.new"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            return _kept(name, make(scratch), scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def forget(found: Layer) -> None:
    """Remove a layer from the cache: its file turned out to be damaged."""
    (folder() / f"{found.name}.json").unlink(missing_ok=True)
    found.path.unlink(missing_ok=True)


def _known(name: str) -> Layer | None:
    try:
        found = Layer(**json.loads((folder() / f"{name}.json").read_text()))
        return found if found.path.stat().st_size == found.packed else None
    except (OSError, ValueError, TypeError):
        return None


def _kept(name: str, members: Iterable[Member], scratch: Path) -> Layer:
    file = scratch / "layer.tar.gz"
    unpacked = _write(file, members)
    digest = sha256_of(file)
    made = Layer(name, digest, file.stat().st_size, unpacked)
    file.replace(made.path)
    note = scratch / "note.json"
    note.write_text(json.dumps(asdict(made)))
    note.replace(folder() / f"{name}.json")
    return made


def _write(file: Path, members: Iterable[Member]) -> int:
    """Pack `members`: sorted, with no times and owners, so that equal layers are equal bytes. Returns bytes of data."""
    total = 0
    with (
        file.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for member in sorted(members, key=lambda member: member.name):
            info = tarfile.TarInfo(member.name)
            info.mode = 0o755 if member.executable else 0o644
            if member.link:
                info.type, info.linkname = tarfile.SYMTYPE, member.link
            info.size = len(member.data)
            tar.addfile(info, io.BytesIO(member.data))
            total += len(member.data)
    return total


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    whole = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()


def members_of(root: Path, wanted: Callable[[str], bool]) -> Iterable[Member]:
    """The files below `root` whose name `wanted` takes."""
    for where, _, names in os.walk(root):
        for file in names:
            path = Path(where, file)
            name = path.relative_to(root).as_posix()
            if wanted(name):
                yield Member(name, path.read_bytes(), executable=bool(path.stat().st_mode & 0o100))
