"""Sending the files of a workdir, and the store that receives them.

The client asks the head which contents it lacks (`BlobStore.missing`), and sends `frames`; the head feeds them to a
`FrameReader`, then calls `materialise`. Over which channel the bytes travel is the caller's affair.
"""

# Paths are bytes or plain text here, which pathlib refuses or is too slow for.
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from skyrig.errors import BadInput
from skyrig.fleet.content import BlobStore, Entry, FrameReader, Manifest, MissingBlobs, Refused, frame, raw
from skyrig.fleet.progress import Meter
from skyrig.fleet.receiver import Changes, materialise

__all__ = ["BlobStore", "Changes", "FrameReader", "MissingBlobs", "Refused", "frames", "materialise", "stored_frames"]

_CHUNK = 1 << 18


def frames(root: Path, manifest: Manifest, shas: Iterable[str], meter: Meter | None = None) -> Iterator[bytes]:
    """The contents `shas` of `manifest` out of the folder `root`, as bytes for a `FrameReader`, 256 KiB or more each.

    `meter` is told of each content once it has been read. BadInput where a file is no longer what the manifest says;
    the receiver then refuses the half-sent frame.
    """
    places = {entry.sha256: entry for entry in reversed(manifest.entries) if entry.kind == "file"}
    return _joined(_metered(((sha, places[sha].size, _read(root, places[sha])) for sha in shas), meter))


def stored_frames(store: BlobStore, shas: Iterable[str], meter: Meter | None = None) -> Iterator[bytes]:
    """The same out of a store. MissingBlobs where it lacks one."""
    return _joined(_metered((_stored(store, sha) for sha in shas), meter))


def _stored(store: BlobStore, sha: str) -> tuple[str, int, Iterator[bytes]]:
    file = store.open(sha)

    def pieces() -> Iterator[bytes]:
        with file:
            yield from iter(lambda: file.read(_CHUNK), b"")

    return sha, os.fstat(file.fileno()).st_size, pieces()


def _metered(contents: Iterable[tuple[str, int, Iterator[bytes]]], meter: Meter | None) -> Iterator[bytes]:
    for sha, size, pieces in contents:
        for piece in frame(sha, size, pieces):
            yield piece
            if meter:
                meter.add(0, len(piece))
        if meter:
            meter.add(1, 0)


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of _CHUNK or more: each one that is sent costs an SSH packet, however small it is."""
    held, size = [], 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _read(root: Path, entry: Entry) -> Iterator[bytes]:
    """The bytes of a file, exactly as many as the manifest says. The last piece is handed out only once all of them
    are known to be right, so a receiver never holds a whole frame that is wrong."""
    digest, left = hashlib.sha256(), entry.size
    path = os.path.join(os.fsencode(root), raw(entry.path))
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
            last = b""
            while left and (chunk := file.read(min(left, _CHUNK))):
                yield last
                digest.update(chunk)
                left -= len(chunk)
                last = chunk
    except OSError as error:
        raise _changed(entry) from error
    if left or digest.hexdigest() != entry.sha256:
        raise _changed(entry)
    yield last


def _changed(entry: Entry) -> BadInput:
    return BadInput(f"{entry.path!r} changed while being sent, run again")
