"""Making a folder on a node hold exactly what a manifest says.

Standard library only, Python 3.8 or newer; see skyrig.fleet.content for why.

The state file beside a folder remembers what was written there, so that unchanged files cost one stat each, and so
that only files which Skyrig wrote, and nobody changed since, are ever removed. Before the disk is touched, the state
file says what is about to be written: after a kill at any point, the next run still knows its own files.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple

from skyrig.fleet.content import (
    INCOMING,
    VERSION,
    BlobStore,
    Entry,
    Manifest,
    MissingBlobs,
    Refused,
    raw,
)
from skyrig.fleet.stamp import Stamp

_CHUNK = 1 << 18
_FINE_NS, _COARSE_NS = 20_000_000, 2_000_000_000


class Changes(NamedTuple):
    """What `materialise` did, in numbers of files and links: `written`, `removed`, `unchanged`; `kept` names the paths
    that left the manifest but stay on the disk, because somebody else has changed them since. `note` says how the node
    was reached where it was not by the planned way."""

    written: int
    removed: int
    unchanged: int
    kept: tuple[str, ...] = ()
    note: str = ""


class Record(NamedTuple):
    """One thing that Skyrig wrote, or was about to write (then `mtime_ns` is 0), at a path. `what` is the SHA-256 of a
    file or where a link points; the rest tells without reading whether it is still the same file."""

    kind: str
    what: str
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0


def materialise(
    store: BlobStore,
    manifest: Manifest,
    target: str | os.PathLike[str],
    state: str | os.PathLike[str],
    *,
    consume: bool = False,
    spare: Iterable[str] = (),
    tick: Callable[[], None] = lambda: None,
) -> Changes:
    """Make the folder `target` hold the manifest's files, links and folders, writing only what differs.

    Files of earlier manifests (remembered in the file `state`) that are gone from this one are removed, if nobody
    changed them since, and if they are not in `spare`: something else wants those. Nothing else that lies in `target`
    is touched. Every file appears whole or not at all. Killed half-way and run again, it converges. With `consume`
    blobs are moved out of the store where that saves a copy. `tick` is called all along, so that somebody else can be
    told that this goes on.

    Raises MissingBlobs before anything is changed; Refused where a folder with foreign files stands in a file's place;
    OSError for what the disk says. It blocks: in a server, call it in a thread.
    """
    root = os.path.realpath(os.fsencode(target))
    os.makedirs(root, exist_ok=True)
    os.makedirs(os.path.dirname(os.path.abspath(os.fspath(state))), exist_ok=True)
    with _locked(os.fspath(state) + ".lock", tick):
        return _Pass(store, manifest, root, os.fspath(state), consume, frozenset(spare), tick).run()


class _Pass:
    """One run of `materialise`."""

    def __init__(
        self,
        store: BlobStore,
        manifest: Manifest,
        root: bytes,
        state: str,
        consume: bool,
        spare: frozenset[str],
        tick: Callable[[], None],
    ) -> None:
        self._store = store
        self._spare = spare
        self._tick = tick
        self._consume = consume
        self._uses: dict[str, int] = {}  # how often a blob is still to be written
        self._digest = manifest.digest
        self._entries = manifest.entries
        self._root = root
        self._state = state
        self._stamp = Stamp(state)
        self._records, self._broken_off = _read_state(state)
        self._foreign: set[str] = set()  # folders of the manifest that are none on the disk
        self._written: list[tuple[Entry, os.stat_result]] = []
        self._touched = False

    def run(self) -> Changes:
        if self._broken_off:
            self._sweep()
        wanted = {entry.path for entry in self._entries}
        todo = [entry for entry in self._entries if not self._stands(entry)]
        gone = [path for path in self._records if path not in wanted]
        lacking = self._store.missing(entry.sha256 for entry in todo if entry.kind == "file")
        if lacking:
            raise MissingBlobs(lacking)
        if todo or gone:
            for entry in todo:
                self._records.setdefault(entry.path, []).append(_intent(entry))
                self._uses[entry.sha256] = self._uses.get(entry.sha256, 0) + 1
            self._stamp.remove()
            self._save(done=False)
        removed, kept = self._remove(gone)
        for entry in todo:
            self._tick()
            self._write(entry)
        self._settle()
        if self._touched or self._broken_off:
            self._save(done=True)
        self._restamp()
        leaves = sum(entry.kind != "dir" for entry in self._entries)
        written = sum(entry.kind != "dir" for entry in todo)
        return Changes(written, removed, leaves - written, tuple(kept))

    def _stands(self, entry: Entry) -> bool:
        """Whether the disk holds that entry already; mends its mode, and learns its times."""
        self._tick()
        parent = entry.path.rpartition("/")[0]
        path = self._path(entry.path)
        found = None if parent in self._foreign else _lstat(path)
        if found is None or not self._same(entry, path, found):
            if entry.kind == "dir":
                self._foreign.add(entry.path)
            return False
        if entry.kind != "link" and stat.S_IMODE(found.st_mode) != _mode(entry):
            os.chmod(path, _mode(entry))
            found = os.lstat(path)
        self._learn(entry, found)
        return True

    def _same(self, entry: Entry, path: bytes, found: os.stat_result) -> bool:
        if entry.kind == "dir":
            return stat.S_ISDIR(found.st_mode)
        if entry.kind == "link":
            return stat.S_ISLNK(found.st_mode) and os.readlink(path) == raw(entry.link)
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
            return False
        return self._content(entry.path, path, found) == entry.sha256

    def _content(self, name: str, path: bytes, found: os.stat_result) -> str:
        """SHA-256 of a file, out of the records where its times say that it was not written to since."""
        for record in self._records.get(name, ()):
            if record.mtime_ns and record[2:] == _times(found):
                return record.what
        try:
            with open(path, "rb") as file:
                return _sha256(file, self._tick)
        except (FileNotFoundError, PermissionError):  # changed under our hands, or closed to us: it is written anew
            return ""

    def _learn(self, entry: Entry, found: os.stat_result) -> None:
        """Remember what stands at a path. Times too young to tell a later write from this one are left out."""
        record = _intent(entry)
        if entry.kind == "file" and settled(found, time.time_ns()):
            record = Record(entry.kind, entry.sha256, *_times(found))
        if self._records.get(entry.path) != [record]:
            self._records[entry.path] = [record]
            self._touched = True

    def _settle(self) -> None:
        """Learn the times of what was just written, once a later write would show in them. That is a moment after the
        last one was written; a file whose times are others by then was written to by somebody else."""
        young = [(entry, found) for entry, found in self._written if self._records[entry.path][0].mtime_ns == 0]
        if not young:
            return
        time.sleep(_FINE_NS / 1e9)
        for entry, before in young:
            found = _lstat(self._path(entry.path))
            if found is not None and _times(found) == _times(before):
                self._learn(entry, found)

    def _restamp(self) -> None:
        """Stamp the folder, if the times of all its files are known, and so a later write to any shows."""
        files = (entry for entry in self._entries if entry.kind == "file")
        if not all(self._records[entry.path][0].mtime_ns for entry in files):
            self._stamp.remove()
        elif self._touched or self._stamp.digest != self._digest:
            self._stamp.write(self._digest, self._root, [raw(entry.path) for entry in self._entries])

    def _remove(self, gone: list[str]) -> tuple[int, list[str]]:
        """Remove what earlier manifests wrote, deepest first. Returns how many files went, and those kept."""
        removed = 0
        kept: list[str] = []
        for name in sorted(gone, key=raw, reverse=True):
            records = self._records.pop(name)
            path = self._path(name)
            found = _lstat(path) if name not in self._spare and self._reached(name) else None
            if found is None:
                continue
            if stat.S_ISDIR(found.st_mode):
                if any(record.kind == "dir" for record in records):
                    with contextlib.suppress(OSError):  # others' files lie in it, or it is in use
                        os.rmdir(path)
            elif self._ours(name, path, found, records):
                os.unlink(path)
                removed += 1
            else:
                kept.append(name)
        self._touched = self._touched or bool(gone)
        return removed, kept[::-1]

    def _ours(self, name: str, path: bytes, found: os.stat_result, records: list[Record]) -> bool:
        if stat.S_ISLNK(found.st_mode):
            link = os.readlink(path)
            return any(record.kind == "link" and raw(record.what) == link for record in records)
        files = [record for record in records if record.kind == "file"]
        if not stat.S_ISREG(found.st_mode) or not files:
            return False
        if any(record.mtime_ns and record[2:] == _times(found) for record in files):
            return True
        return self._content("", path, found) in [record.what for record in files]

    def _reached(self, name: str) -> bool:
        """Whether every parent folder of a path is a real folder: nothing is removed through a link."""
        parent = name.rpartition("/")[0]
        if not parent:
            return True
        found = _lstat(self._path(parent)) if self._reached(parent) else None
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _write(self, entry: Entry) -> None:
        path = self._path(entry.path)
        found = _lstat(path)
        is_dir = found is not None and stat.S_ISDIR(found.st_mode)
        if entry.kind == "dir":
            if found is not None and not is_dir:
                os.unlink(path)
            if not is_dir:
                os.mkdir(path)
            os.chmod(path, _mode(entry))
        else:
            if is_dir:
                self._clear(entry.path, path)
            incoming = os.path.join(os.path.dirname(path), raw(INCOMING))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(incoming)
            if entry.kind == "link":
                os.symlink(raw(entry.link), incoming)
            else:
                self._copy(entry, incoming)
            os.replace(incoming, path)
        self._touched = True
        found = os.lstat(path)
        self._learn(entry, found)
        if entry.kind == "file":
            self._written.append((entry, found))

    def _clear(self, name: str, path: bytes) -> None:
        try:
            os.rmdir(path)
        except OSError as error:
            raise Refused(f"{name!r} is a file here, but a folder with files on the node") from error

    def _copy(self, entry: Entry, incoming: bytes) -> None:
        """Write a blob to `incoming`. A blob that is damaged in the store is thrown away, so that it is sent again."""
        self._uses[entry.sha256] -= 1
        if self._consume and not self._uses[entry.sha256] and self._store.take(entry.sha256, incoming):
            os.chmod(incoming, _mode(entry))
            return
        digest = hashlib.sha256()
        place = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(place, "wb") as copy, self._store.open(entry.sha256) as source:
            for chunk in iter(lambda: source.read(_CHUNK), b""):
                self._tick()
                digest.update(chunk)
                copy.write(chunk)
        os.chmod(incoming, _mode(entry))
        if digest.hexdigest() != entry.sha256:
            self._store.discard(entry.sha256)
            raise Refused(f"the stored copy of {entry.path!r} was damaged, run again")

    def _sweep(self) -> None:
        """Remove the half-written file that a killed run may have left in one of its folders."""
        parents = {name.rpartition("/")[0] for name in self._records}
        for parent in parents:
            incoming = parent + "/" + INCOMING if parent else INCOMING
            if self._reached(incoming):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path(incoming))

    def _save(self, *, done: bool) -> None:
        root = os.fsdecode(self._root)  # tells who takes everything away where that is
        data = {"version": VERSION, "done": done, "root": root, "records": self._records}
        incoming = self._state + ".new"
        with open(incoming, "w", encoding="ascii") as file:
            file.write(json.dumps(data, separators=(",", ":")))  # several times as fast as json.dump
        os.replace(incoming, self._state)

    def _path(self, name: str) -> bytes:
        return os.path.join(self._root, raw(name))


def settled(found: os.stat_result, now_ns: int) -> bool:
    """Whether a write after `now_ns` must show in the file's times: file systems count them in steps (of a clock tick,
    and some of whole seconds), and a second write within one step leaves no trace."""
    youngest = max(found.st_mtime_ns, found.st_ctime_ns)
    step = _COARSE_NS if youngest % 1_000_000_000 == 0 else _FINE_NS
    return youngest + step < now_ns


def _intent(entry: Entry) -> Record:
    return Record(entry.kind, entry.link or entry.sha256)


def _mode(entry: Entry) -> int:
    """Folders stay open to their owner, so that a later run can write into them."""
    return entry.mode | 0o700 if entry.kind == "dir" else entry.mode


def _times(found: os.stat_result) -> tuple[int, int, int, int]:
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _lstat(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sha256(file: IO[bytes], tick: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        tick()
        digest.update(chunk)
    return digest.hexdigest()


def _read_state(path: str) -> tuple[dict[str, list[Record]], bool]:
    """The records of earlier runs, and whether the last one was broken off. An unreadable file counts as none: then
    every file is compared by content, and nothing is removed."""
    try:
        with open(path, encoding="ascii") as file:
            data = json.load(file)
        if data["version"] != VERSION:
            return {}, True
        rows = data["records"].items()
        return {name: [Record(*record) for record in records] for name, records in rows}, not data["done"]
    except FileNotFoundError:
        return {}, False
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, True


@contextlib.contextmanager
def _locked(path: str, tick: Callable[[], None]) -> Iterator[None]:
    """One run at a time on a folder; the lock goes with the process."""
    with open(path, "w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                tick()
                time.sleep(0.02)
        yield
