"""Folders on disk as values, for tests that compare them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from attrs import frozen

from skyrig.fleet.blobs import BlobStore, Changes, frames, materialise
from skyrig.fleet.content import FrameReader, Manifest
from skyrig.fleet.manifest import build
from skyrig.fleet.workdir import select


@frozen
class Thing:
    """A file (`data`), a link (`link`), or else a folder. `mode` is 0 for links."""

    mode: int = 0o755
    data: bytes | None = None
    link: str = ""


Tree = dict[str, Thing]


def read_tree(root: Path) -> Tree:
    """What lies below `root`."""
    found: Tree = {}
    for path in sorted(root.rglob("*")):
        key = str(path.relative_to(root))
        if path.is_symlink():
            found[key] = Thing(0, link=str(path.readlink()))
        elif path.is_dir():
            found[key] = Thing(path.stat().st_mode & 0o7777)
        else:
            found[key] = Thing(path.stat().st_mode & 0o7777, path.read_bytes())
    return found


def write_tree(root: Path, tree: Tree) -> None:
    """Add `tree` to what lies in `root`, which is made if need be."""
    root.mkdir(parents=True, exist_ok=True)
    for key, thing in sorted(tree.items()):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if thing.link:
            path.symlink_to(thing.link)
        elif thing.data is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(thing.data)
    for key, thing in tree.items():
        if not thing.link:
            (root / key).chmod(thing.mode)


def stored(root: Path, store: BlobStore) -> Manifest:
    """The manifest of all that lies in `root`, its contents sent into `store` as a client does it."""
    manifest = build(root, select(root), None)
    missing = store.missing(manifest.blobs())
    reader = FrameReader(store, missing)
    for chunk in frames(root, manifest, missing):
        assert reader.feed(chunk) == b""
    assert reader.done
    store.put_manifest(manifest)
    return manifest


def file(data: bytes, mode: int = 0o644) -> Thing:
    """A file as a value."""
    return Thing(mode, data)


class Bench:
    """A source folder, a store, and a node's folder with its state file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = BlobStore(folder / "store")
        self.target = folder / "node" / "sky_workdir"
        self.state = folder / "node" / ".skyrig" / "workdir.json"
        self._count = 0

    def manifest(self, tree: Tree) -> Manifest:
        """`tree` as a stored manifest."""
        self._count += 1
        source = self.folder / f"source{self._count}"
        write_tree(source, tree)
        return stored(source, self.store)

    def bring(self, tree: Tree) -> Changes:
        return self.apply(self.manifest(tree))

    def apply(self, manifest: Manifest) -> Changes:
        return materialise(self.store, manifest, self.target, self.state)

    def there(self) -> Tree:
        return read_tree(self.target)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


ODD_NAMES = tuple(
    os.fsdecode(name)
    for name in (
        b"plain.txt",
        b"with space",
        b" lead and trail ",
        b"quo'te\"s",
        b"$HOME `date` $(x)",
        b"new\nline",
        b"tab\tand\rcr",
        b"back\\slash",
        b"-rf",
        b"*?[a]",
        "grün-日本-🚀".encode(),
        b"latin1-\xe9\xff",
        b"~",
        b"#hash!",
        b"x" * 200,
    )
)
