"""Materialising: whatever stood there before and wherever it was killed, the manifest's files end up exact, and what
others wrote stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from fleet_trees import ODD_NAMES, Bench, Thing, Tree, file, read_tree, sha
from hypothesis import given, settings
from hypothesis import strategies as st

from skyrig.fleet.blobs import Changes, MissingBlobs, Refused
from skyrig.fleet.content import INCOMING, Entry, Manifest
from skyrig.fleet.receiver import settled


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_all_kinds_and_odd_names_arrive_as_they_are(bench: Bench) -> None:
    tree: Tree = {name: file(os.fsencode(name)) for name in ODD_NAMES}
    tree |= {f"dir/{name}": Thing(0, link=name) for name in ODD_NAMES}
    tree |= {"dir": Thing(0o755), "shut": Thing(0o700), "x.sh": file(b"#!", 0o755), "ro": file(b"r", 0o444)}
    tree |= {"empty": file(b""), "none": Thing(0o755), "large": file(os.urandom(700_001))}
    files = sum(thing.data is not None or bool(thing.link) for thing in tree.values())
    assert bench.bring(tree) == Changes(written=files, removed=0, unchanged=0)
    assert bench.there() == tree
    assert bench.bring(tree) == Changes(written=0, removed=0, unchanged=files)


def test_only_what_differs_is_written_and_only_ours_is_removed(bench: Bench) -> None:
    bench.bring({"same": file(b"s"), "new": file(b"1"), "gone": file(b"g"), "changed": file(b"c"), "d/e/f": file(b"f")})
    inode = (bench.target / "same").stat().st_ino
    (bench.target / "out.log").write_bytes(b"a job wrote this")
    (bench.target / "changed").write_bytes(b"and this")
    changes = bench.bring({"same": file(b"s"), "new": file(b"22")})
    assert changes == Changes(written=1, removed=2, unchanged=1, kept=("changed",))
    assert bench.there() == {
        "same": file(b"s"),
        "new": file(b"22"),
        "out.log": file(b"a job wrote this"),
        "changed": file(b"and this"),
    }
    assert (bench.target / "same").stat().st_ino == inode
    assert bench.bring({}).removed == 2
    assert set(bench.there()) == {"out.log", "changed"}


def test_what_a_job_changed_is_put_right(bench: Bench) -> None:
    """Content, also of the same length and with times set back; mode; removal; a link or a folder in its place."""
    tree: Tree = {name: file(name.encode()) for name in "abcdef"} | {"sub": Thing(), "sub/x": file(b"x")}
    bench.bring(tree)
    times = (bench.target / "a").stat()
    (bench.target / "a").write_bytes(b"A")
    os.utime(bench.target / "a", ns=(times.st_atime_ns, times.st_mtime_ns))
    (bench.target / "b").chmod(0o600)
    (bench.target / "c").unlink()
    (bench.target / "d").unlink()
    (bench.target / "d").symlink_to("e")
    (bench.target / "f").unlink()
    (bench.target / "f").mkdir()
    (bench.target / "sub").rename(bench.folder / "elsewhere")
    (bench.target / "sub").symlink_to(bench.folder / "elsewhere")
    assert bench.bring(tree).written == 5
    assert bench.there() == tree
    assert read_tree(bench.folder / "elsewhere") == {"x": file(b"x")}


def test_nothing_is_removed_through_a_link(bench: Bench) -> None:
    bench.bring({"sub": Thing(), "sub/x": file(b"x")})
    (bench.target / "sub").rename(bench.folder / "elsewhere")
    (bench.target / "sub").symlink_to(bench.folder / "elsewhere")
    bench.bring({})
    assert read_tree(bench.folder / "elsewhere") == {"x": file(b"x")}


def test_files_of_a_job_in_the_way_of_a_file_are_refused(bench: Bench) -> None:
    bench.bring({"a": Thing(), "a/b": file(b"b")})
    (bench.target / "a" / "result").write_bytes(b"precious")
    with pytest.raises(Refused, match="'a' is a file here, but a folder with files on the node"):
        bench.bring({"a": file(b"now a file")})
    assert (bench.target / "a" / "result").read_bytes() == b"precious"
    (bench.target / "a" / "result").unlink()
    bench.bring({"a": file(b"now a file")})
    assert bench.there() == {"a": file(b"now a file")}


def test_nothing_changes_while_blobs_are_missing(bench: Bench) -> None:
    bench.bring({"a": file(b"a"), "b": file(b"b")})
    before = bench.there()
    manifest = bench.manifest({"b": file(b"new"), "c": file(b"c")})
    bench.store.discard(sha(b"c"))
    with pytest.raises(MissingBlobs) as caught:
        bench.apply(manifest)
    assert caught.value.shas == [sha(b"c")]
    assert bench.there() == before


def test_a_damaged_blob_is_found_and_thrown_away(bench: Bench) -> None:
    manifest = bench.manifest({"a": file(b"right")})
    place = bench.folder / "store" / sha(b"right")[:2] / sha(b"right")
    place.write_bytes(b"wrong")
    with pytest.raises(Refused, match="stored copy of 'a' was damaged"):
        bench.apply(manifest)
    assert not (bench.target / "a").exists()
    with pytest.raises(MissingBlobs):
        bench.apply(manifest)
    bench.store.put(sha(b"right"), [b"right"])
    bench.apply(manifest)
    assert bench.there() == {"a": file(b"right")}


@pytest.mark.parametrize(
    "state", [b"", b"{}", b'{"version": 9}', b"\xff\xfe", b'{"version":1,"done":true,"records":[]}']
)
def test_a_broken_state_file_removes_nothing_and_converges(bench: Bench, state: bytes) -> None:
    bench.bring({"a": file(b"a"), "b": file(b"b")})
    bench.state.write_bytes(state)
    bench.bring({"a": file(b"2")})
    assert bench.there() == {"a": file(b"2"), "b": file(b"b")}
    bench.bring({})
    assert bench.there() == {"b": file(b"b")}


name = st.sampled_from(["a", "b", "c"])
path = st.lists(name, min_size=1, max_size=3).map("/".join)
thing = st.one_of(
    st.builds(Thing, st.sampled_from([0o755, 0o700])),
    st.builds(Thing, st.sampled_from([0o644, 0o600, 0o444]), st.binary(max_size=2)),
    st.builds(lambda link: Thing(0, link=link), st.sampled_from(["a", "../b", "/c"])),
)


def consistent(tree: Tree) -> Tree:
    """`tree` with all parent folders, and without what would lie below a file or a link."""
    whole: Tree = {}
    for key in sorted(tree):
        parents = ["/".join(key.split("/")[:count]) for count in range(1, key.count("/") + 1)]
        if all(parent not in whole or (whole[parent] == Thing(whole[parent].mode)) for parent in parents):
            for parent in parents:
                whole.setdefault(parent, Thing(0o755))
            whole[key] = tree[key]
    return whole


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(path, thing, max_size=6).map(consistent), min_size=2, max_size=4))
def test_any_row_of_manifests_ends_in_the_last(trees: list[Tree]) -> None:
    """Files become folders and links and back; nothing is left over, since nobody else wrote."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for tree in trees:
            bench.bring(tree)
            assert bench.there() == tree
            assert bench.bring(tree).written == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(path, thing, max_size=6).map(consistent), min_size=2, max_size=4),
    st.lists(st.integers(0, 25), min_size=4, max_size=4),
)
def test_broken_off_anywhere_the_next_run_is_exact(trees: list[Tree], steps: list[int]) -> None:
    """Each run but the last is broken off after a number of changes to the disk."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for tree, step in zip(trees, steps, strict=False):
            manifest = bench.manifest(tree)
            with pytest.MonkeyPatch.context() as patch:
                count_down(patch, step)
                try:
                    bench.apply(manifest)
                except BrokenOff:
                    continue
        bench.bring(trees[-1])
        assert bench.there() == trees[-1]
        bench.bring({})
        assert bench.there() == {}


class BrokenOff(BaseException):
    """Stands for the end of the process: nothing in the code under test may catch it."""


def count_down(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Let `steps` changes of the disk happen, then break off before every other."""
    left = [steps]

    def limited(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise BrokenOff
            return real(*arguments, **named)

        patch.setattr(f"skyrig.fleet.receiver.os.{name}", call)

    for name in ("replace", "unlink", "rmdir", "mkdir", "chmod", "symlink"):
        limited(name)


KILLED = """
import sys
from skyrig.fleet.blobs import BlobStore, materialise
folder, digest = sys.argv[1:]
store = BlobStore(folder + "/store")
print("go", flush=True)
materialise(store, store.manifest(digest), folder + "/node/sky_workdir", folder + "/node/.skyrig/workdir.json")
"""


def test_killed_by_the_system_it_converges(bench: Bench) -> None:
    """A real kill -9, at ten moments of a run over 400 files, between two versions that share half of them."""
    versions = []
    for version in range(2):
        tree: Tree = {f"d{n % 7}/f{n}": file(b"%d" % (n * (version if n % 2 else 1))) for n in range(400)}
        tree |= {f"only{version}-{n}": file(b"o%d" % n) for n in range(50)}
        versions.append(bench.manifest(tree))
    for moment in range(10):
        manifest = versions[moment % 2]
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(bench.folder), manifest.digest], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.006 * moment)  # the moment of the kill is the point here
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    for manifest in versions:
        bench.apply(manifest)
        assert {key for key, thing in bench.there().items() if thing.data is not None} == {
            entry.path for entry in manifest.entries if entry.kind == "file"
        }
        assert all(sha(thing.data) in manifest.blobs() for thing in bench.there().values() if thing.data is not None)


def test_a_half_written_file_of_a_killed_run_is_swept_away(bench: Bench) -> None:
    manifest = bench.manifest({"d": Thing(), "d/a": file(b"a"), "d/b": file(b"b")})
    steps = 0
    while not (bench.target / "d" / INCOMING).exists():
        steps += 1
        with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOff):
            count_down(patch, steps)
            bench.apply(manifest)
    bench.bring({"d": Thing()})
    assert bench.there() == {"d": Thing()}


def test_a_manifest_cannot_reach_outside(bench: Bench) -> None:
    with pytest.raises(Refused):
        Manifest([Entry("../evil", "file", 0o644, 0, sha(b""))])
    bench.target.mkdir(parents=True)
    (bench.target / "out").symlink_to(bench.folder)
    bench.bring({"out": Thing(), "out/evil": file(b"e")})
    assert not (bench.folder / "evil").exists()
    assert bench.there() == {"out": Thing(), "out/evil": file(b"e")}


def test_five_thousand_unchanged_files_are_quick(bench: Bench) -> None:
    manifest = bench.manifest({f"d{n % 50}/f{n}": file(b"%d" % (n % 90)) for n in range(5000)})
    assert bench.apply(manifest).written == 5000
    bench.apply(manifest)  # learns the times of the last ones, which were too young
    took = []
    for _ in range(3):
        started = time.process_time()
        assert bench.apply(manifest) == Changes(written=0, removed=0, unchanged=5000)
        took.append(time.process_time() - started)
    assert min(took) < 0.5


def test_young_files_are_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    found = (tmp_path / "a").stat()
    assert not settled(found, found.st_mtime_ns + 1_000_000)
    assert settled(found, max(found.st_mtime_ns, found.st_ctime_ns) + 2_100_000_000)
