"""Manifests: the same for the same folder, refused where they could do harm, quick where nothing changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from fleet_trees import ODD_NAMES, Thing, sha, write_tree
from hypothesis import given
from hypothesis import strategies as st

from skyrig.errors import BadInput
from skyrig.fleet.content import Entry, Manifest, Refused, raw, text
from skyrig.fleet.manifest import build
from skyrig.fleet.workdir import select

name = st.one_of(
    st.sampled_from(ODD_NAMES),
    st.binary(min_size=1, max_size=6).map(lambda b: text(b.replace(b"/", b"_").replace(b"\0", b"_"))),
).filter(lambda n: n not in (".", ".."))


@st.composite
def manifests(draw: st.DrawFn) -> list[Entry]:
    """Entries of a random tree, folders before what lies in them."""
    folders, entries, taken = [""], [], set()
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.sampled_from(folders))
        path = f"{parent}/{draw(name)}" if parent else draw(name)
        if path in taken:
            continue
        taken.add(path)
        kind = draw(st.sampled_from(["file", "dir", "link"]))
        if kind == "dir":
            folders.append(path)
            entries.append(Entry(path, "dir", draw(st.integers(0, 0o777))))
        elif kind == "link":
            entries.append(Entry(path, "link", link=draw(name)))
        else:
            data = draw(st.binary(max_size=4))
            entries.append(Entry(path, "file", draw(st.integers(0, 0o777)), len(data), sha(data)))
    return entries


@given(manifests(), st.randoms())
def test_what_is_written_is_read_back(entries: list[Entry], shuffle: object) -> None:
    manifest = Manifest(entries)
    shuffled = list(entries)
    shuffle.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest == Manifest(shuffled)
    assert set(Manifest.from_bytes(manifest.to_bytes()).entries) == set(entries)
    assert manifest.digest == sha(manifest.to_bytes())


A_FILE = Entry("a", "file", 0o644, 1, sha(b"a"))


@pytest.mark.parametrize(
    "entries",
    [
        [A_FILE._replace(path=path)]
        for path in (
            *("", "/a", "../a", "..", ".", "./a", "a/", "/", "a\0b", "nodir/a", "\udcc3\udca9", "\ud800"),
            ".skyrig-incoming~",
        )
    ]
    + [
        [Entry("d", "dir", 0o755), A_FILE._replace(path=path)]
        for path in ("d/../a", "d//a", "d/./a", "d/..", "d", "d/x/a")
    ]
    + [
        [A_FILE, A_FILE],
        [A_FILE, A_FILE._replace(path="a/b")],
        [Entry("a", "link", link="/etc"), A_FILE._replace(path="a/b")],
        [A_FILE._replace(mode=0o4755)],
        [A_FILE._replace(mode=-1)],
        [A_FILE._replace(size=-1)],
        [A_FILE._replace(size=True)],
        [A_FILE._replace(sha256="../../x")],
        [A_FILE._replace(sha256=sha(b"a").upper())],
        [A_FILE._replace(kind="device")],
        [A_FILE._replace(link="b")],
        [Entry("a", "link", link="")],
        [Entry("a", "link", link="x\0y")],
        [Entry("a", "link", link="\ud800")],
        [Entry("a", "dir", 0o755, 5)],
    ],
)
def test_what_could_escape_or_makes_no_sense_is_refused(entries: list[Entry]) -> None:
    with pytest.raises(Refused):
        Manifest(entries)
    rows = {"version": 1, "entries": [list(entry) for entry in entries]}
    with pytest.raises(Refused):
        Manifest.from_bytes(json.dumps(rows).encode())


@given(st.binary(max_size=30))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        Manifest.from_bytes(data)


@pytest.mark.parametrize(
    "document", [{"version": 2, "entries": []}, {"version": 1}, [], {"version": 1, "entries": [5]}]
)
def test_other_documents_are_refused(document: object) -> None:
    with pytest.raises(Refused):
        Manifest.from_bytes(json.dumps(document).encode())


def test_a_folder_becomes_a_manifest(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "d": Thing(0o2750),
            "d/x.sh": Thing(0o755, b"#!"),
            "e": Thing(0o700),
            "l": Thing(0, link="d/x.sh"),
            ".env": Thing(0o644, b"K=1"),
            ".gitignore": Thing(0o644, b".env"),
        },
    )
    manifest = build(tmp_path, select(tmp_path, named_in=["source .env"]), None)
    assert {tuple(entry) for entry in manifest.entries} == {
        (".env", "file", 0o600, 3, sha(b"K=1"), ""),
        (".gitignore", "file", 0o644, 4, sha(b".env"), ""),
        ("d", "dir", 0o750, 0, "", ""),
        ("d/x.sh", "file", 0o755, 2, sha(b"#!"), ""),
        ("e", "dir", 0o700, 0, "", ""),
        ("l", "link", 0, 0, "", "d/x.sh"),
    }


def test_the_cache_sees_every_change(tmp_path: Path) -> None:
    """Same size, same times set back by hand, another inode: never an old hash. A broken cache is as good as none."""
    root, cache = tmp_path / "root", tmp_path / "cache" / "hashes"
    cache.parent.mkdir()
    write_tree(root, {"a": Thing(0o644, b"one"), "b": Thing(0o644, b"two")})

    def hashes() -> list[str]:
        return [entry.sha256 for entry in build(root, select(root), cache).entries]

    assert hashes() == hashes() == [sha(b"one"), sha(b"two")]
    before = (root / "a").stat()
    for content in (b"ONE", b"1ne", b"2ne", b"3ne"):  # at once, within one tick of the clock
        (root / "a").write_bytes(content)
        os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert hashes() == [sha(content), sha(b"two")]
    (root / "b").rename(root / "c")
    (root / "a").rename(root / "b")
    assert hashes() == [sha(b"3ne"), sha(b"two")]
    for nonsense in (b"", b"{}", b'{"hashes": {"b": [1]}}', b"\xff", b'{"hashes": 5}'):
        cache.write_bytes(nonsense)
        assert hashes() == [sha(b"3ne"), sha(b"two")]


def test_five_thousand_unchanged_files_are_quick(tmp_path: Path) -> None:
    """Choosing and comparing them stays below half a second of this process's time, at best of a few: the collector may
    look through all that earlier tests have left meanwhile."""
    root, cache = tmp_path / "root", tmp_path / "hashes"
    patterns = "\n".join(f"*.ext{n}\ncache{n}/\n/top{n}/*.log" for n in range(40))
    write_tree(root, {f"d{n % 50}/f{n}.py": Thing(0o644, b"%d" % n) for n in range(5000)})
    (root / ".gitignore").write_text(patterns)
    first = build(root, select(root), cache)
    while build(root, select(root), cache) != first or time.time() - (root / ".gitignore").stat().st_mtime < 0.1:
        pass
    took = []
    for _ in range(4):
        started = time.process_time()
        assert build(root, select(root), cache) == first
        took.append(time.process_time() - started)
    assert min(took) < 0.5
    assert len(first.entries) == 5051


def test_a_file_that_went_away_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    selection = select(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(BadInput, match=r"workdir: 'a': no such file"):
        build(tmp_path, selection, None)


@given(st.binary())
def test_any_bytes_survive_as_text(data: bytes) -> None:
    assert raw(text(data)) == data
