"""From a selection of files to a manifest, hashing only what changed since the last time."""

# Paths are bytes or plain text here, which pathlib refuses or is too slow for.
# ruff: noqa: PTH115, PTH118, PTH123

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from skyrig.errors import BadInput
from skyrig.fleet.content import Entry, Manifest, raw
from skyrig.fleet.receiver import settled
from skyrig.fleet.workdir import Picked, Selection

__all__ = ["Entry", "Manifest", "build"]

_CHUNK = 1 << 20
_THREADS = 4
"""Files hashed at a time; hashing leaves the interpreter lock alone."""

_Stamp = tuple[int, int, int, int]


def build(root: Path, selection: Selection, cache: Path | None, *, what: str = "workdir") -> Manifest:
    """The manifest of `selection` below `root`.

    `cache` is a file that remembers the hashes of unchanged files (recognised by size, times and inode); it may be
    lost at any time. BadInput where a file cannot be read, or is gone since it was selected; it calls `root` `what`.
    """
    known = _read(cache)
    hashes: dict[str, tuple[_Stamp, str]] = {}
    entries, unknown = [], []
    for picked in selection.picked:
        path = os.path.join(os.fsencode(root), raw(picked.path))
        try:
            found = os.lstat(path)
            if picked.kind == "link":
                link = os.readlink(path).decode("utf-8", "surrogateescape")
                entries.append(Entry(picked.path, "link", link=link))
                continue
        except OSError as error:
            raise _unreadable(what, picked, error) from error
        if picked.kind == "dir":
            entries.append(Entry(picked.path, "dir", stat.S_IMODE(found.st_mode) & 0o777))
            continue
        hit = known.get(picked.path)
        if hit is not None and hit[0] == _stamp(found):
            hashes[picked.path] = hit
            entries.append(_file(picked, found, hit[1]))
        else:
            unknown.append((what, picked, path))
    with ThreadPoolExecutor(_THREADS) as threads:
        for (_, picked, _), (found, sha, lasting) in zip(unknown, threads.map(_hash, unknown), strict=True):
            entries.append(_file(picked, found, sha))
            if lasting:
                hashes[picked.path] = (_stamp(found), sha)
    if cache is not None and hashes != known:
        _write(cache, hashes)
    return Manifest(entries)


def _file(picked: Picked, found: os.stat_result, sha: str) -> Entry:
    mode = 0o600 if picked.private else stat.S_IMODE(found.st_mode) & 0o777
    return Entry(picked.path, "file", mode, found.st_size, sha)


def _hash(item: tuple[str, Picked, bytes]) -> tuple[os.stat_result, str, bool]:
    """Stat and SHA-256 of a file, and whether a later write would show in its times."""
    what, picked, path = item
    now = time.time_ns()
    digest, size = hashlib.sha256(), 0
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
            found = os.fstat(file.fileno())
    except OSError as error:
        raise _unreadable(what, picked, error) from error
    if size != found.st_size or _stamp(before) != _stamp(found):
        raise BadInput(f"{picked.path!r} changed while it was read", hint="run again when nothing writes to it")
    return found, digest.hexdigest(), settled(found, now)


def _unreadable(what: str, picked: Picked, error: OSError) -> BadInput:
    reason = (error.strerror or "cannot be read").lower()
    return BadInput(f"{what}: {picked.path!r}: {reason}", hint="mend it, or name it in .skyignore")


def _stamp(found: os.stat_result) -> _Stamp:
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _read(cache: Path | None) -> dict[str, tuple[_Stamp, str]]:
    if cache is None:
        return {}
    try:
        rows = json.loads(cache.read_bytes())["hashes"]
        return {path: ((row[0], row[1], row[2], row[3]), row[4]) for path, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):  # as good as none
        return {}


def _write(cache: Path, hashes: dict[str, tuple[_Stamp, str]]) -> None:
    """Replace the cache; several commands may do so at once, each with a file of its own."""
    rows = {path: [*stamp, sha] for path, (stamp, sha) in hashes.items()}
    incoming = cache.with_name(f"{cache.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        incoming.write_text(json.dumps({"hashes": rows}, separators=(",", ":")), encoding="ascii")
        incoming.replace(cache)
