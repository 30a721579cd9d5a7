"""Several folders and files for one node, of which some lie inside others: what each of them brings.

An inner one is laid over an outer one: where both have something at the same path, the inner one's stands. So that
neither undoes the other, at each launch anew, the outer one is told not to bring it. All here is pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from attrs import evolve, field, frozen

from skyrig.errors import BadInput
from skyrig.fleet.content import Entry, Manifest

_KERNELS = ("proc", "sys", "dev")

_EMPTY = Manifest(())


@frozen
class Layer:
    """What shall come to `target` on a node, a normal path (`normal`): the files of a folder, or with `is_file` the one
    file of the manifest, which has the target's name there."""

    target: str
    manifest: Manifest = field(default=_EMPTY)
    is_file: bool = False

    @property
    def folder(self) -> str:
        """What the manifest's paths are relative to."""
        return posixpath.dirname(self.target) if self.is_file else self.target

    @property
    def depth(self) -> int:
        """How far inside it lies; what lies deeper is laid over the rest."""
        return len([part for part in self.target.split("/") if part])


def normal(target: str) -> str:
    """A target in its one form. BadInput where it is neither absolute nor below the home folder, or holds "..", NUL."""
    if not (target.startswith(("/", "~/")) or target == "~"):
        raise BadInput(f"file_mounts.{target}: a place on the nodes begins with / or ~/")
    if ".." in target.split("/") or "\0" in target:
        raise BadInput(f"file_mounts.{target}: a place on the nodes has no `..` in it")
    path = posixpath.normpath(target)
    path = "/" + path.lstrip("/") if path.startswith("/") else path
    if path == "/":
        raise BadInput("file_mounts./: all of a node's disk is no place for files", hint="name a folder below it")
    if path.startswith("/") and path.split("/")[1] in _KERNELS and not path.startswith("/dev/shm/"):
        raise BadInput(f"file_mounts.{target}: that is the kernel's, and no place for files")
    return path


def ordered(layers: Sequence[Layer]) -> list[Layer]:
    """Outer ones before inner ones, else as given. BadInput where two have the same target."""
    targets = [layer.target for layer in layers]
    for target in targets:
        if targets.count(target) > 1:
            raise BadInput(f"file_mounts.{target}: two things cannot go to one place")
    return sorted(layers, key=lambda layer: layer.depth)


def are_nested(targets: Sequence[str]) -> bool:
    """Whether one of these normal paths lies in another."""
    return any(_below(inner, outer) for outer in targets for inner in targets)


def parted(layers: Sequence[Layer]) -> list[Layer]:
    """The same layers, `ordered`, without what a later one has at the same path: brought one after another they leave
    what the later ones want, and none writes what another one has written."""
    found = ordered(layers)
    for at, outer in enumerate(found):
        for inner in found[at + 1 :]:
            if _below(inner.target, outer.target):
                outer = evolve(outer, manifest=_without(outer, inner))
        found[at] = outer
    return found


def spared(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """For each layer the paths below its folder that another one wants: it must not remove them, should it have
    brought them once. A file has none: it is all that was ever brought to its target."""
    return [() if layer.is_file else tuple(_wanted_below(layer, layers)) for layer in layers]


def _wanted_below(layer: Layer, layers: Sequence[Layer]) -> Iterator[str]:
    for other in layers:
        nested = _below(layer.target, other.target) or _below(other.target, layer.target)
        for path in _paths(other) if nested else ():
            if _below(path, layer.target):
                yield path[len(layer.target.rstrip("/")) + 1 :]


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _paths(layer: Layer) -> dict[str, Entry]:
    """Its entries by their paths on the node."""
    return {posixpath.join(layer.folder, entry.path): entry for entry in layer.manifest.entries}


def _without(outer: Layer, inner: Layer) -> Manifest:
    """The manifest of `outer` without what `inner` lays over it."""
    over = _paths(inner)
    leaves = {path for path, entry in over.items() if entry.kind != "dir"}
    folders = {path: entry.mode for path, entry in over.items() if entry.kind == "dir"}
    needed = {*folders, *_upwards(inner.folder)}
    kept: list[Entry] = []
    gone: set[str] = set()
    for path, entry in _paths(outer).items():  # in their order, so parents come first
        if posixpath.dirname(path) in gone or path in leaves or (entry.kind != "dir" and path in needed):
            gone.add(path)
        else:
            kept.append(entry._replace(mode=folders[path]) if entry.kind == "dir" and path in folders else entry)
    return Manifest(kept)


def _upwards(folder: str) -> list[str]:
    """A folder and all above it."""
    found = [folder]
    while (above := posixpath.dirname(found[-1])) not in ("", found[-1]):
        found.append(above)
    return found
