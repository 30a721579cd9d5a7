"""What a workdir consists of: its manifest, and the contents of its files by their SHA-256.

Standard library only, Python 3.8 or newer: this file and skyrig.fleet.receiver are imported by the head, and sent as
they are to the other nodes (skyrig.fleet.spread), where they stand alone. So the same code runs everywhere.

Paths in a manifest are text of UTF-8 with surrogate escapes: any bytes that a file name may hold survive.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import struct
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

try:
    from skyrig.errors import SkyrigError
except ImportError:  # on a node, where this file stands alone
    SkyrigError = Exception  # type: ignore[assignment, misc]

VERSION = 1
"""Version of the manifest, of the state file and of the conversation in skyrig.fleet.spread; all change together."""
INCOMING = ".skyrig-incoming~"
"""Name under which a file is written before it takes its place."""
_HEADER = struct.Struct(">32sQ")
_SHA = re.compile(r"[0-9a-f]{64}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class Refused(SkyrigError):
    """Data or a state of the disk that must not be acted upon; the message says what, in one line."""


class MissingBlobs(Refused):
    """The store lacks blobs of a manifest (`shas`); nothing was changed. Send them, then do it again."""

    def __init__(self, shas: list[str]) -> None:
        super().__init__(f"{len(shas)} files of the workdir have not arrived")
        self.shas = shas


class Entry(NamedTuple):
    """One path of a manifest. `kind` is "file", "dir" or "link"; `mode` the permission bits (0 for links); `size` in
    bytes and `sha256` in hex belong to files; `link` is where a link points, which is never followed."""

    path: str
    kind: str
    mode: int = 0
    size: int = 0
    sha256: str = ""
    link: str = ""


class Manifest:
    """The files, folders and links of a workdir, sorted by path; equal ones have the same `digest`.

    Every parent folder is an entry of its own, so nothing can be written through a link. Refused where a path is not
    clean ("..", absolute, doubled) or an entry makes no sense.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: raw(entry.path)))
        _check(self.entries)
        rows = [list(entry) for entry in self.entries]
        self._bytes = json.dumps({"version": VERSION, "entries": rows}, separators=(",", ":")).encode()
        self.digest = hashlib.sha256(self._bytes).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Manifest({len(self.entries)} entries, {self.digest[:12]})"

    def to_bytes(self) -> bytes:
        """The canonical form, whose SHA-256 is `digest`."""
        return self._bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read `to_bytes` back. Refused for anything else."""
        try:
            document = json.loads(data)
            if document["version"] != VERSION:
                raise Refused("a workdir manifest of version {!r}".format(document["version"]))
            return cls(Entry(*row) for row in document["entries"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused("this is no workdir manifest") from error

    def blobs(self) -> dict[str, int]:
        """Size in bytes by SHA-256 of every content in it, each once."""
        return {entry.sha256: entry.size for entry in self.entries if entry.kind == "file"}


def raw(path: str) -> bytes:
    """`path` as the bytes that the disk knows. Refused for text that no file name can be."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Refused(f"{path!r} cannot be a file name") from None


def text(path: bytes) -> str:
    """The inverse of `raw`."""
    return path.decode("utf-8", "surrogateescape")


def _check(entries: tuple[Entry, ...]) -> None:
    folders = {""}
    seen: set[str] = set()
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        clean = name not in ("", ".", "..", INCOMING) and "\0" not in name and text(raw(name)) == name
        placed = parent in folders and (parent or name == entry.path)
        if not clean or not placed or entry.path in seen:
            raise Refused(f"the manifest holds the path {entry.path!r}, which is refused")
        if not _sound(entry):
            raise Refused(f"the manifest's entry for {entry.path!r} makes no sense")
        seen.add(entry.path)
        if entry.kind == "dir":
            folders.add(entry.path)


def _sound(entry: Entry) -> bool:
    if not (type(entry.mode) is type(entry.size) is int and 0 <= entry.mode <= 0o777 and entry.size >= 0):
        return False
    if entry.kind == "file":
        return bool(_SHA.fullmatch(entry.sha256)) and entry.link == ""
    if entry.size or entry.sha256:
        return False
    if entry.kind == "link":
        return bool(entry.link) and "\0" not in entry.link and entry.mode == 0 and bool(raw(entry.link))
    return entry.kind == "dir" and entry.link == ""


class BlobStore:
    """Contents by their SHA-256, as files below `root` (made when needed). Safe for several processes at once.

    With `takes` it remembers in `checked` what it has itself seen arrive whole, which `take` needs.
    """

    def __init__(self, root: str | os.PathLike[str], *, takes: bool = False) -> None:
        self.root = os.fspath(root)
        self.checked: set[str] | None = set() if takes else None

    def has(self, sha: str) -> bool:
        """Whether that content is here."""
        return os.path.exists(self._place(sha))

    def missing(self, shas: Iterable[str]) -> list[str]:
        """Those of `shas` that are not here, each once, in their order. The others are renewed: `prune` leaves them
        alone for its `min_age_s`."""
        lacking: dict[str, None] = {}
        for sha in shas:
            try:
                os.utime(self._place(sha))
            except FileNotFoundError:
                lacking[sha] = None
        return list(lacking)

    def put(self, sha: str, chunks: Iterable[bytes]) -> None:
        """Keep a content. It appears whole or not at all; Refused if it is not what `sha` says."""
        incoming = Incoming(self, sha)
        try:
            for chunk in chunks:
                incoming.write(chunk)
            incoming.finish()
        finally:
            incoming.drop()

    def open(self, sha: str) -> BinaryIO:
        """That content for reading. MissingBlobs if it is not here."""
        try:
            return open(self._place(sha), "rb")
        except FileNotFoundError:
            raise MissingBlobs([sha]) from None

    def take(self, sha: str, path: bytes) -> bool:
        """Move that content to `path`, if it is among `checked` (so it need not be read again) and the disk allows;
        whether it did."""
        if self.checked is None or sha not in self.checked:
            return False
        try:
            os.replace(self._place(sha), path)
        except OSError:  # another file system, or gone: it is copied, or asked for again
            return False
        self.checked.discard(sha)
        return True

    def discard(self, sha: str) -> None:
        """Remove that content, if it is here."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._place(sha))

    def put_manifest(self, manifest: Manifest) -> None:
        """Keep a manifest, as the blob that its digest names."""
        self.put(manifest.digest, [manifest.to_bytes()])

    def manifest(self, digest: str) -> Manifest:
        """A manifest that was put here. MissingBlobs if it is not."""
        with self.open(digest) as file:
            return Manifest.from_bytes(file.read())

    def prune(self, keep_digests: Iterable[str], *, min_age_s: float = 3600) -> int:
        """Remove all but the manifests with these digests and what they name, and but what was put or asked for in the
        last `min_age_s` seconds. Returns how many blobs went."""
        keep: set[str] = set()
        for digest in keep_digests:
            keep.add(digest)
            with contextlib.suppress(MissingBlobs):
                keep.update(self.manifest(digest).blobs())
        limit = time.time() - min_age_s
        gone = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    if name not in keep and os.stat(path).st_mtime <= limit:
                        os.unlink(path)
                        gone += 1
        return gone

    def _place(self, sha: str) -> str:
        if not _SHA.fullmatch(sha):
            raise Refused(f"{sha!r} is no SHA-256")
        return os.path.join(self.root, sha[:2], sha)


class Incoming:
    """One blob on its way into a store: `write` its bytes, then `finish`; `drop` in any case."""

    def __init__(self, store: BlobStore, sha: str) -> None:
        self._store = store
        self._sha = sha
        self._place = store._place(sha)
        self._hash = hashlib.sha256()
        self._path = f"{self._place}.{os.getpid()}.{time.monotonic_ns():x}"
        try:
            made = os.open(self._path, _NEW, 0o600)
        except FileNotFoundError:  # the first one in its folder
            os.makedirs(os.path.dirname(self._place), mode=0o700, exist_ok=True)
            made = os.open(self._path, _NEW, 0o600)
        self._file = os.fdopen(made, "wb")

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self) -> None:
        """Put it in its place. Refused if the bytes are not what their name says."""
        self._file.close()
        if self._hash.hexdigest() != self._sha:
            raise Refused(f"a file of the workdir arrived damaged: {self._sha[:12]}")
        os.replace(self._path, self._place)
        if self._store.checked is not None:
            self._store.checked.add(self._sha)

    def drop(self) -> None:
        """Remove what is left of one that was not finished."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def frame(sha: str, size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A blob as it travels: 32 bytes of SHA-256, 8 bytes of length (big-endian), then its bytes."""
    yield _HEADER.pack(bytes.fromhex(sha), size)
    yield from chunks


class FrameReader:
    """Puts frames into a store as their bytes come, in pieces of any length, without holding a blob in memory.

    `left` are the SHA-256 values still awaited; a frame that nobody asked for is Refused. Call `close` in the end,
    also after an error.
    """

    def __init__(self, store: BlobStore, wanted: Iterable[str]) -> None:
        self.left = set(wanted)
        self.received = 0
        self._store = store
        self._head = b""
        self._blob: Incoming | None = None
        self._sha = ""
        self._rest = 0

    @property
    def done(self) -> bool:
        """Whether everything that was asked for has arrived."""
        return not self.left

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; returns those behind the last awaited frame, else nothing."""
        view = memoryview(data)
        while len(view) and self.left:
            if self._blob is None:
                take = _HEADER.size - len(self._head)
                self._head += bytes(view[:take])
                view = view[take:]
                if len(self._head) < _HEADER.size:
                    break
                self._begin()
            view = self._fill(view)
        return bytes(view)

    def close(self) -> None:
        """Forget a blob that is only half here."""
        if self._blob is not None:
            self._blob.drop()
            self._blob = None

    def _begin(self) -> None:
        digest, self._rest = _HEADER.unpack(self._head)
        self._head, self._sha = b"", digest.hex()
        if self._sha not in self.left:
            raise Refused(f"a file arrived that was not asked for: {self._sha[:12]}")
        self._blob = Incoming(self._store, self._sha)

    def _fill(self, view: memoryview) -> memoryview:
        assert self._blob is not None
        chunk = view[: self._rest]
        self._blob.write(bytes(chunk))
        self._rest -= len(chunk)
        self.received += len(chunk)
        if not self._rest:
            self._blob.finish()
            self._blob = None
            self.left.discard(self._sha)
        return view[len(chunk) :]
