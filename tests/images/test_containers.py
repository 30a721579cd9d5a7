"""Container images built without a daemon, out of a root file system that the test makes."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest
import small_root

from skyrig.errors import BadInput, JobFailed
from skyrig.images import containers
from skyrig.images.containers import FOLDER, Brought, Container
from skyrig.images.oci import inside, layers, layout

SETUP = """\
set -e
cat in.txt; echo "$A for $(id -u)" > made
rm /etc/doomed
mkdir /opt
ln made /opt/hard
ln -s made soft
[ -n "$SECRET" ]
"""

pytestmark = pytest.mark.skipif(bool(inside.can()), reason="this machine runs nothing in namespaces")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SKYRIG_HOME, with a root file system and a workdir beside it."""
    folder = tmp_path_factory.mktemp("containers")
    (folder / "root").mkdir()
    small_root.make(folder / "root")
    (folder / "work").mkdir()
    (folder / "work" / "in.txt").write_text("in\n")
    return folder


def build(name: str, base: str, text: str, **files: Path) -> tuple[Container, str]:
    out = io.BytesIO()
    brought = {FOLDER: Brought(files["work"], ("in.txt",))} if files else {}
    hidden = {"SECRET": "hunter2"}
    made = containers.build(name, base, {"setup": text}, {"A": "b"}, hidden, brought, "r", out.write, lambda line: None)
    return made, out.getvalue().decode()


def names(made: Container, number: int) -> dict[str, tarfile.TarInfo]:
    layer = layout.read(made.folder).layers[number]
    with tarfile.open(layout.blob(made.folder, layer.digest)) as archive:
        return {each.name: each for each in archive}


@pytest.fixture(scope="module")
def first(home: Path) -> Container:
    """A container of that base."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKYRIG_HOME", str(home / "home"))
        made, said = build("first", f"rootfs:{home / 'root'}", SETUP, work=home / "work")
    assert said == "in\n"
    return made


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(home / "home"))


def test_a_setup_is_one_layer_on_its_base(first: Container) -> None:
    image, own = layout.read(first.folder), names(first, 1)
    assert len(image.layers) == 2 and "bin/sh" in names(first, 0)
    work = FOLDER.lstrip("/")
    assert sorted(own) == [
        "etc",
        "etc/.wh.doomed",
        "opt",
        "opt/hard",
        "root",
        work,
        *(f"{work}/{n}" for n in ("in.txt", "made", "soft")),
    ]
    assert own[f"{work}/made"].islnk() and own[f"{work}/soft"].issym()
    assert {(each.uid, each.gid) for each in own.values()} == {(0, 0)}
    assert image.config == {"Env": ["A=b"], "WorkingDir": FOLDER}
    whole = b"".join(each.read_bytes() for each in (first.folder / "blobs" / "sha256").iterdir())
    assert b"hunter2" not in whole


def test_it_is_a_base_itself(first: Container) -> None:
    made, said = build("second", f"oci:{first.folder}", "cat soft /opt/hard; ls /etc; echo 2 > two")
    assert said.splitlines()[:3] == ["b for 0", "b for 0", "os-release"] and "doomed" not in said
    assert [layer.digest for layer in layout.read(made.folder).layers[:2]] == [
        layer.digest for layer in layout.read(first.folder).layers
    ]
    assert list(names(made, 2)) == ["root", FOLDER.lstrip("/"), f"{FOLDER.lstrip('/')}/two"]
    assert [each.name for each in containers.all_known()] == ["first", "second"]
    containers.delete("second")
    assert containers.read("second") is None


def test_one_whose_setup_fails_changes_nothing(first: Container, home: Path) -> None:
    with pytest.raises(JobFailed) as told:
        build("first", f"rootfs:{home / 'root'}", "exit 7")
    assert told.value.exit_code == 7 and containers.read("first") == first
    left = first.folder.parents[1] / ".first.0a1b"
    assert [each.name for each in first.folder.parents[1].iterdir()] == ["first"]
    left.mkdir()
    (left / "nobody").mkdir(mode=0)
    assert containers.delete("second") is False and left.exists()
    with pytest.raises(JobFailed):
        build("first", f"rootfs:{home / 'root'}", "exit 7")
    assert not left.exists()
    assert (home / "root" / "etc" / "doomed").exists() and not (home / "root" / inside.PLACE).exists()


TIMED = """\
set -e
echo one > /etc/one; mkdir -p /opt/deep/er; ln -s one /opt/deep/link
mkdir -p ~/.aws ~/.cache/pip; echo key > ~/.aws/credentials
echo nameserver 192.0.2.1 > /etc/resolv.conf
echo more > /var/run/more; rm -r /var/run; ln -s /run /var/run
rm -r /bin/old; echo file > /bin/old
chmod 0711 /opt/deep
"""


def test_the_same_again_is_the_same_image(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no time is to be later than one that is said. Folders come with what is in them, and whiteouts lie in
    folders alone: below a link they would take away what it leads to."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    servers = Path("/etc/resolv.conf").read_bytes()
    for name in ("run", "var/run", "bin/old"):
        (home / "root" / name).mkdir(parents=True, exist_ok=True)
    for name in ("run/lock", "var/run/lock", "bin/old/lock"):
        (home / "root" / name).touch()
    once, _ = build("timed", f"rootfs:{home / 'root'}", TIMED, work=home / "work")
    again, _ = build("again", f"rootfs:{home / 'root'}", TIMED.replace("one >", "one  >"), work=home / "work")
    own = names(once, 1)
    assert Path("/etc/resolv.conf").read_bytes() == servers
    assert [name for name in own if not name.startswith("root")] == [
        "bin", "bin/old", "etc", "etc/one", "opt", "opt/deep", "opt/deep/er", "opt/deep/link", "var", "var/run",
    ]  # fmt: skip
    assert not any(".aws/" in name or "pip" in name for name in own)
    assert (own["opt/deep"].mode, own["var/run"].issym(), own["bin/old"].isfile()) == (0o711, True, True)
    assert max(each.mtime for number in (0, 1) for each in names(once, number).values()) <= 1700000000
    assert [layer.diff for layer in layout.read(once.folder).layers] == [
        layer.diff for layer in layout.read(again.folder).layers
    ]
    assert [containers.delete(name) for name in ("timed", "again", "again")] == [True, True, False]


def test_a_base_that_is_damaged_is_no_base(first: Container, tmp_path: Path) -> None:
    shutil.copytree(first.folder, tmp_path / "copy")
    layer = layout.blob(tmp_path / "copy", layout.read(first.folder).layers[1].digest)
    layer.write_bytes(layer.read_bytes()[:-9])
    with pytest.raises(BadInput, match="is damaged"):
        build("second", f"oci:{tmp_path / 'copy'}", "true")
    layer.unlink()
    with pytest.raises(BadInput, match="lacks the layer"):
        build("second", f"oci:{tmp_path / 'copy'}", "true")


def test_what_is_brought_stays_inside(tmp_path: Path) -> None:
    """Links of the base lead where they do for programs in it."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root, outside, tmp_path / "given" / "d"):
        folder.mkdir(parents=True)
    (tmp_path / "given" / "d" / "f").write_text("x")
    (outside / "f").write_text("mine")
    (root / "linked").symlink_to(outside)
    (root / "file").symlink_to(outside / "f")
    (root / "top").mkdir()
    (root / "top" / "d").symlink_to(outside)
    containers._bring(root, "/linked", Brought(tmp_path / "given", ("d", "d/f")))
    containers._bring(root, "/top", Brought(tmp_path / "given", ("d", "d/f")))
    containers._bring(root, "/file", Brought(tmp_path / "given" / "d" / "f"))
    assert [each.name for each in outside.iterdir()] == ["f"] and (outside / "f").read_text() == "mine"
    within = root / str(outside).lstrip("/")
    assert {str(each.relative_to(within)) for each in within.rglob("*")} == {"d", "d/f", "f"}


def test_what_was_not_pushed_is_on_no_node(first: Container) -> None:
    with pytest.raises(BadInput, match="on this machine alone"):
        containers.pushed("first")
    with pytest.raises(BadInput) as told:
        containers.pushed("third")
    assert str(told.value) == "there is no container image third (there are: first)"


def layer_of(folder: Path, *members: tuple[str, str, str]) -> Path:
    """A layer with (name, kind, content or goal)."""
    file = folder / "layer.tar"
    with tarfile.open(file, "w") as archive:
        for name, kind, said in members:
            entry = tarfile.TarInfo(name)
            entry.type = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "dir": tarfile.DIRTYPE}[kind]
            entry.linkname = said if kind == "link" else ""
            entry.mode, entry.size = 0o755, len(said) if kind == "file" else 0
            archive.addfile(entry, io.BytesIO(said.encode()))
    return file


def test_a_layer_reaches_nothing_outside(tmp_path: Path) -> None:
    """Neither by a link that it brings, nor by its own names; absolute links are the root's."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    goal = os.path.relpath(outside, root)
    layers.lay(root, layer_of(tmp_path, ("up", "link", goal), ("run", "link", str(outside)), ("up/a", "file", "x")))
    layers.lay(root, layer_of(tmp_path, ("run/b", "file", "x")))
    assert list(outside.iterdir()) == [] and (root / str(outside).lstrip("/") / "b").read_text() == "x"
    with pytest.raises(BadInput, match="leads out of it"):
        layers.lay(root, layer_of(tmp_path, ("a/../../b", "file", "x")))


def test_a_layer_takes_away_nothing_of_its_own(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a/old", "b/old", "b/sub/old"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    layers.lay(
        root,
        layer_of(
            tmp_path,
            ("a/old", "file", "new"),
            ("a/.wh.old", "file", ""),
            ("b/sub/new", "file", ""),
            ("b/.wh..wh..opq", "file", ""),
        ),
    )
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["a", "a/old", "b", "b/sub", "b/sub/new"]
    assert (root / "a" / "old").read_text() == "new"


def test_layers_take_away_what_lies_below(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a/one", "a/two", "b/one", "c"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    layers.lay(root, layer_of(tmp_path, ("a/.wh.one", "file", ""), ("b/.wh..wh..opq", "file", ""), ("c", "dir", "")))
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["a", "a/two", "b", "c"]
    assert (root / "c").is_dir()
