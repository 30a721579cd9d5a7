"""The blob store and the frames: whole or not at all, in pieces of any length."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from fleet_trees import Thing, sha, stored, write_tree
from hypothesis import given
from hypothesis import strategies as st

from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet.blobs import BlobStore, FrameReader, MissingBlobs, Refused, frames, stored_frames
from skyrig.fleet.content import frame
from skyrig.fleet.manifest import build
from skyrig.fleet.workdir import select


@given(
    st.lists(st.binary(max_size=50), max_size=6, unique=True),
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.binary(max_size=5),
)
def test_frames_arrive_in_pieces_of_any_length(blobs: list[bytes], cuts: list[int], behind: bytes) -> None:
    """What follows the last frame is handed back."""
    stream = b"".join(b"".join(frame(sha(blob), len(blob), [blob])) for blob in blobs) + behind
    with tempfile.TemporaryDirectory() as folder:
        store = BlobStore(folder)
        reader = FrameReader(store, [sha(blob) for blob in blobs])
        rest, turn, left = stream, 0, b""
        while rest:
            size = cuts[turn % len(cuts)]
            left += reader.feed(rest[:size])
            rest, turn = rest[size:], turn + 1
        assert reader.done
        assert left == behind
        for blob in blobs:
            with store.open(sha(blob)) as file:
                assert file.read() == blob


def test_frames_from_a_folder_and_from_a_store_are_the_same(tmp_path: Path) -> None:
    """Also for files longer than one piece; equal files travel once."""
    root = tmp_path / "root"
    large = os.urandom(700_001)
    write_tree(root, {"a": Thing(0o644, large), "b": Thing(0o644, large), "empty": Thing(0o644, b"")})
    store = BlobStore(tmp_path / "store")
    manifest = stored(root, store)
    shas = list(manifest.blobs())
    assert len(shas) == 2
    assert b"".join(frames(root, manifest, shas)) == b"".join(stored_frames(store, shas))


def test_damage_and_the_unwanted_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    reader = FrameReader(store, [sha(b"right")])
    with pytest.raises(Refused, match="damaged"):
        reader.feed(b"".join(frame(sha(b"right"), 5, [b"wrong"])))
    reader.close()
    with pytest.raises(Refused, match="not asked for"):
        FrameReader(store, [sha(b"right")]).feed(b"".join(frame(sha(b"other"), 5, [b"other"])))
    half = FrameReader(store, [sha(b"right")])
    half.feed(b"".join(frame(sha(b"right"), 5, [b"ri"])))
    assert not half.done
    half.close()
    with pytest.raises(Refused, match="damaged"):
        store.put(sha(b"x"), [b"y"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert issubclass(Refused, SkyrigError)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a" * 63, "A" * 64, "g" * 64, "a" * 64 + "\n"])
def test_only_hashes_are_names(tmp_path: Path, name: str) -> None:
    store = BlobStore(tmp_path)
    for use in (store.has, store.open, store.discard, lambda sha: store.put(sha, []), lambda sha: store.missing([sha])):
        with pytest.raises(Refused):
            use(name)


@pytest.mark.parametrize("content", [b"ab", b"abcd", b"ABC", None])
def test_a_file_that_changes_while_it_is_sent(tmp_path: Path, content: bytes | None) -> None:
    """Shorter, longer, other, gone: one line, and nothing of it is kept. A longer file whose old part is intact is what
    the manifest says, so it is sent."""
    root = tmp_path / "root"
    write_tree(root, {"a": Thing(0o644, b"abc")})
    manifest = build(root, select(root), None)
    (root / "a").unlink()
    if content is not None:
        (root / "a").write_bytes(content)
    reader = FrameReader(BlobStore(tmp_path / "store"), manifest.blobs())
    if content == b"abcd":
        for chunk in frames(root, manifest, manifest.blobs()):
            reader.feed(chunk)
        assert reader.done
        return
    with pytest.raises(BadInput, match="'a' changed while being sent, run again"):
        for chunk in frames(root, manifest, manifest.blobs()):
            reader.feed(chunk)
    reader.close()
    assert not reader.done


def test_a_file_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"a": Thing(0o644, b"abc")})
    manifest = build(root, select(root), None)
    (root / "a").rename(tmp_path / "secret")
    (root / "a").symlink_to("../secret")
    with pytest.raises(BadInput, match="changed while being sent"):
        list(frames(root, manifest, manifest.blobs()))


def test_pruning_keeps_what_is_named_and_what_is_young(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "store")
    write_tree(tmp_path / "one", {"a": Thing(0o644, b"shared"), "b": Thing(0o644, b"first")})
    write_tree(tmp_path / "two", {"a": Thing(0o644, b"shared"), "b": Thing(0o644, b"second")})
    one, two = stored(tmp_path / "one", store), stored(tmp_path / "two", store)
    assert store.manifest(two.digest) == two
    assert store.prune([two.digest, "f" * 64]) == 0
    old = time.time() - 7200
    for path in (tmp_path / "store").rglob("*"):
        os.utime(path, (old, old))
    assert store.missing([sha(b"first"), sha(b"none"), sha(b"none")]) == [sha(b"none")]  # and so asked for
    assert store.prune([two.digest]) == 1  # the first manifest
    assert not store.has(one.digest)
    assert store.has(sha(b"first"))
    assert store.prune([two.digest], min_age_s=0) == 1
    assert [store.has(sha(blob)) for blob in (b"shared", b"first", b"second")] == [True, False, True]
    with pytest.raises(MissingBlobs):
        store.manifest(one.digest)
