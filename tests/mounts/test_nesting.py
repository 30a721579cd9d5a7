"""Mounts that lie in each other: what each brings is planned, then brought to a real disk, then brought again."""

from __future__ import annotations

import hashlib
import posixpath
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyrig.errors import BadInput
from skyrig.fleet.content import BlobStore, Entry, Manifest
from skyrig.fleet.nesting import Layer, are_nested, normal, ordered, parted, spared
from skyrig.fleet.place import Place, bring
from skyrig.fleet.stamp import Stamp

CONTENTS = (b"", b"one", b"two", b"three")
TARGETS = ("/a", "/a/b", "/a/b/c", "/a/c", "/b")

Leaves = dict[str, bytes]
"""Contents by path on the node."""

names = st.sampled_from("abc")
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(paths, st.sampled_from(CONTENTS), max_size=5)
layers = st.dictionaries(st.sampled_from(TARGETS), st.one_of(trees, st.sampled_from(CONTENTS)), min_size=1)
steady_paths = st.builds(
    lambda above, name: "/".join([*above, name]), st.lists(names, max_size=2), st.sampled_from("xy")
)
steady_trees = st.dictionaries(steady_paths, st.sampled_from(CONTENTS), max_size=5)
steady = st.dictionaries(st.sampled_from(TARGETS), st.one_of(steady_trees, st.sampled_from(CONTENTS)), min_size=1)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest(tree: Leaves) -> Manifest:
    """A manifest of files with the folders above them; of two things at one path the shorter one stands."""
    entries: dict[str, Entry] = {}
    for path, data in sorted(tree.items()):
        above = [path[:at] for at in range(len(path)) if path[at] == "/"]
        if any(entries.get(folder, Entry(folder, "dir")).kind != "dir" for folder in above):
            continue
        entries |= {folder: Entry(folder, "dir", 0o755) for folder in above}
        entries[path] = Entry(path, "file", 0o644, len(data), sha(data))
    return Manifest(entries.values())


def planned(given: dict[str, Leaves | bytes]) -> list[Layer]:
    """Targets with trees, and files where a target has bytes alone."""
    made = []
    for target, what in given.items():
        if isinstance(what, bytes):
            made.append(Layer(target, manifest({posixpath.basename(target): what}), is_file=True))
        else:
            made.append(Layer(target, manifest(what)))
    return made


def leaves(layer: Layer) -> dict[str, str]:
    """Hashes by path on the node."""
    files = (entry for entry in layer.manifest.entries if entry.kind == "file")
    return {posixpath.join(layer.folder, entry.path): entry.sha256 for entry in files}


def overlaid(given: list[Layer]) -> dict[str, str]:
    """What one would have who lays each layer over those before it, whatever is in its way."""
    found: dict[str, str] = {}
    for layer in ordered(given):
        needed = [layer.folder] + [
            posixpath.join(layer.folder, e.path) for e in layer.manifest.entries if e.kind == "dir"
        ]
        for folder in needed:
            found = {path: what for path, what in found.items() if not (folder + "/").startswith(path + "/")}
        for path, what in leaves(layer).items():
            found = {other: kept for other, kept in found.items() if not other.startswith(path + "/")}
            found[path] = what
    return found


@given(layers)
@settings(max_examples=150, deadline=None)
def test_the_parts_are_apart_and_together_what_lies_on_top(given_layers: dict[str, Leaves | bytes]) -> None:
    wanted = planned(given_layers)
    parts = parted(wanted)
    together: dict[str, str] = {}
    for part in parts:
        assert not together.keys() & leaves(part).keys(), "nothing is brought twice"
        together |= leaves(part)
    assert together == overlaid(wanted)
    assert [part.target for part in parts] == [layer.target for layer in ordered(wanted)]
    assert parted(parts) == parts


class Disk:
    """A node's disk, to which layers are brought."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = BlobStore(root / "blobs")
        for data in CONTENTS:
            self.store.put(sha(data), [data])

    def place(self, layer: Layer, spare: tuple[str, ...] = ()) -> Place:
        state = f"{self.root}/state/{layer.target.replace('/', '%')}"
        return Place(f"{self.root}/disk{layer.target}", state, layer.is_file, spare)

    def bring(self, given: list[Layer]) -> None:
        """As a keeper does: what stands is left alone."""
        parts = parted(given)
        for part, spare in zip(parts, spared(parts), strict=True):
            if not self.stands(part):
                bring(self.store, part.manifest, self.place(part, spare))

    def stands(self, layer: Layer) -> bool:
        place = self.place(layer)
        return Stamp(place.state_file).holds(layer.manifest.digest, place.folder)

    def files(self) -> dict[str, str]:
        root = self.root / "disk"
        found = (path for path in root.rglob("*") if path.is_file())
        return {"/" + str(path.relative_to(root)): sha(path.read_bytes()) for path in found}


@given(st.lists(steady, min_size=2, max_size=3))
@settings(max_examples=12, deadline=None)
def test_launch_after_launch_a_disk_holds_what_was_planned(launches: list[dict[str, Leaves | bytes]]) -> None:
    """Also where a target was a file and becomes a folder, and where a file moves from one mount to another. Targets
    of earlier launches stay mounted, with nothing in them. (A folder of one source never becomes a file of another:
    that is refused as long as the folder's mount holds files there.)"""
    with TemporaryDirectory() as folder:
        disk = Disk(Path(folder))
        seen: dict[str, Leaves | bytes] = {}
        for launch in launches:
            seen = {target: {} for target in seen} | launch
            wanted = planned(seen)
            disk.bring(wanted)
            assert disk.files() == overlaid(wanted)
            assert all(disk.stands(part) for part in parted(wanted)), "a second launch has nothing to do"


@pytest.mark.parametrize(
    ("target", "wanted"),
    [("/a", "/a"), ("//a//b", "/a/b"), ("/a/./b", "/a/b"), ("~", "~"), ("~/x", "~/x"), ("~//x/.", "~/x")],
)
def test_a_target_in_its_one_form(target: str, wanted: str) -> None:
    assert normal(target) == wanted


@pytest.mark.parametrize(
    "target", ["", "a", "./a", "~x/y", "/", "//", "/a/../b", "~/..", "/proc/x", "/sys", "/dev/sda", "/dev/shm", "/a\0"]
)
def test_targets_that_cannot_be(target: str) -> None:
    with pytest.raises(BadInput, match=r"file_mounts\."):
        normal(target)


def test_two_things_for_one_place_are_refused() -> None:
    with pytest.raises(BadInput, match="two things cannot go to one place"):
        ordered([Layer("/a"), Layer("/a")])
    assert are_nested(["/a", "/b", "/a/b"])
    assert not are_nested(["/a", "/ab", "~/a"])
