"""One mount on one disk: files and folders, what is in the way, and what must not be written to."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from skyrig.fleet import place as place_module
from skyrig.fleet.content import BlobStore, Entry, Manifest, Refused
from skyrig.fleet.place import Place, bring

DATA = b"what it holds\n"
SHA = hashlib.sha256(DATA).hexdigest()


def manifest(*paths: str, mode: int = 0o644) -> Manifest:
    return Manifest(Entry(path, "file", mode, len(DATA), SHA) for path in paths)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    made = BlobStore(tmp_path / "blobs")
    made.put(SHA, [DATA])
    return made


def at(tmp_path: Path, target: str, *, is_file: bool = False) -> Place:
    return Place(f"{tmp_path}/{target}", f"{tmp_path}/state.json", is_file)


def test_a_file_beside_the_files_of_others(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "theirs").write_text("theirs")
    place = at(tmp_path, "etc/ours", is_file=True)
    assert bring(store, manifest("ours", mode=0o755), place)[:3] == (1, 0, 0)
    assert bring(store, manifest("ours", mode=0o755), place)[:3] == (0, 0, 1)
    assert names(tmp_path / "etc") == ["ours", "theirs"]
    assert (tmp_path / "etc" / "ours").stat().st_mode & 0o777 == 0o755


def test_a_folder_becomes_a_file_and_a_folder_again(store: BlobStore, tmp_path: Path) -> None:
    there = tmp_path / "deep" / "thing"
    bring(store, manifest("a", "b"), at(tmp_path, "deep/thing"))
    bring(store, manifest("thing"), at(tmp_path, "deep/thing", is_file=True))
    assert there.read_bytes() == DATA
    bring(store, manifest("c"), at(tmp_path, "deep/thing"))
    assert names(there) == ["c"]
    assert not (tmp_path / "state.json.file").exists()


def test_a_folder_with_files_of_others_does_not_become_a_file(store: BlobStore, tmp_path: Path) -> None:
    bring(store, manifest("a"), at(tmp_path, "thing"))
    (tmp_path / "thing" / "of a job").write_text("precious")
    with pytest.raises(Refused, match="'thing' is a file here, but a folder with files on the node"):
        bring(store, manifest("thing"), at(tmp_path, "thing", is_file=True))
    assert names(tmp_path / "thing") == ["of a job"]


def test_a_link_to_a_folder_is_a_folder(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to("disk")
    bring(store, manifest("a"), at(tmp_path, "data"))
    assert (tmp_path / "data").is_symlink()
    assert (tmp_path / "disk" / "a").read_bytes() == DATA


def test_what_is_in_the_way_is_named_in_one_line(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused) as caught:
        bring(store, manifest("a"), at(tmp_path, "file/x"))
    assert str(caught.value) == f"{tmp_path}/file/x cannot be written: not a directory" or (
        str(caught.value) == f"{tmp_path}/file/x cannot be written: file exists ({tmp_path}/file)"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_of_another_user_is_named(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(Refused, match=r"closed/x cannot be written: permission denied"):
        bring(store, manifest("a"), at(tmp_path, "closed/x"))


def test_on_a_local_node_the_hosts_own_folders_are_refused(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the node's home, which lies in the host's file system."""
    (tmp_path / "folders").write_text(f"{tmp_path}/host\n/elsewhere\n")
    (tmp_path / "host" / "home").mkdir(parents=True)
    (tmp_path / "sly").symlink_to("host")
    monkeypatch.setattr(place_module, "_HOST_FOLDERS", str(tmp_path / "folders"))
    monkeypatch.setenv("HOME", str(tmp_path / "host" / "home"))
    for target in ("host", "host/x", "sly/x"):
        with pytest.raises(Refused, match=f"{target} lies in {tmp_path}/host, which local nodes share"):
            bring(store, manifest("a"), at(tmp_path, target))
    bring(store, manifest("a"), Place("~/x", f"{tmp_path}/state.json"))
    assert names(tmp_path / "host") == ["home"]
    assert (tmp_path / "host" / "home" / "x" / "a").exists()
    bring(store, manifest("a"), at(tmp_path, "hostile"))
