"""What a node's folder becomes as an image, and what another node makes of that."""

from __future__ import annotations

import json
import os
import py_compile
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from skyrig.fleet.local import images
from skyrig.fleet.local.layout import LocalNodeError, NodeFolder

SECRETS = (".ssh/id_ed25519", ".ssh/authorized_keys", ".skyrig/hmac", ".skyrig/jobs.db", ".skyrig/internal/id_ed25519")
CREDENTIALS = (".netrc", ".aws/credentials", ".docker/config.json", ".cache/huggingface/token")
GONE = (
    *SECRETS,
    ".bash_history",
    "sky_logs/1-a/run.log",
    ".skyrig/workdir.json.stamp",
    ".cache/pip/wheel",
    *CREDENTIALS,
)
KEPT = (".ssh/config", ".skyrig/setup.json", ".skyrig/workdir.json", ".profile", "sky_workdir/data")


def node(folder: Path, **state: str) -> Path:
    """The folder of a node that is switched off, after a setup."""
    home, env = folder / "home", folder / "env" / "bin"
    for name in (*GONE, *KEPT):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    env.mkdir(parents=True)
    (env / "tool").write_text(f"#!{folder}/env/bin/python\n")
    (env / "tool").chmod(0o751)
    os.utime(env / "tool", (1, 1))
    (home / "venv").symlink_to(folder / "env")
    (home / "relative").symlink_to("venv")
    (home / "program").write_bytes(b"\x7fELF\0" + os.fsencode(folder))
    (home / "module.pyc").write_bytes(b"\0" + os.fsencode(folder))
    (folder / "alive.lock").touch()
    (folder / "stopped").touch()
    (folder / "node.json").write_text(json.dumps({"level": "namespaces", "incarnation": "a", **state}))
    return folder


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A version of an image, made of a node."""
    images.make(node(tmp_path / "builder" / "n0"), tmp_path / "images" / "one" / "aaaa")
    return tmp_path / "images" / "one" / "aaaa"


def begun(version: Path, folder: Path, level: str = "namespaces") -> NodeFolder:
    folder.mkdir(parents=True)
    images.begin(version, NodeFolder(folder), level)
    return NodeFolder(folder)


def test_what_was_the_nodes_own_is_no_part_of_it(version: Path) -> None:
    home = version / "home"
    assert [name for name in GONE if (home / name).exists()] == []
    assert [name for name in KEPT if not (home / name).exists()] == []
    assert not (version / "host_key").exists() and not (version / "node.json").exists()


def test_a_node_finds_itself_where_the_builder_was_named(version: Path, tmp_path: Path) -> None:
    other = begun(version, tmp_path / "other" / "n3")
    tool = other.environment / "bin" / "tool"
    assert tool.read_text() == f"#!{other.path}/env/bin/python\n"
    assert (stat.S_IMODE(tool.stat().st_mode), tool.stat().st_mtime) == (0o751, 1)
    assert (other.home / "venv").readlink() == other.environment
    assert (other.home / "relative").readlink() == Path("venv")
    assert (images.read(version) or pytest.fail()).binaries == 1, "the program; python mends compiled modules itself"


def test_a_module_that_names_its_place_is_compiled_anew(tmp_path: Path) -> None:
    """Its time and, where both places are as long, its size are as they were."""
    builder = node(tmp_path / "builder" / "n0")
    module = Path("env/lib/python3/site-packages/found.py")
    (builder / module).parent.mkdir(parents=True)
    (builder / module).write_text(f"PLACE = {str(builder)!r}\n")
    py_compile.compile(str(builder / module))
    images.make(builder, tmp_path / "images" / "one" / "bbbb")
    other = begun(tmp_path / "images" / "one" / "bbbb", tmp_path / "another" / "n0").path
    assert len(str(other)) == len(str(builder))
    command = [sys.executable, "-c", "import found; print(found.PLACE)"]
    said = subprocess.run(command, cwd=(other / module).parent, capture_output=True, text=True, check=True)
    assert said.stdout == f"{other}\n"


def test_what_a_node_writes_stays_there(version: Path, tmp_path: Path) -> None:
    first = begun(version, tmp_path / "a" / "n0")
    with (first.home / ".profile").open("a") as file:
        file.write("mine")
    assert (begun(version, tmp_path / "b" / "n0").home / ".profile").read_text() == ".profile"


def test_modules_of_packages_are_the_images_own_and_nothing_else_is(tmp_path: Path) -> None:
    builder = node(tmp_path / "builder" / "n0")
    packages = Path("env/lib/python3/site-packages")
    shared = [packages / "a" / name for name in ("m.py", "m.pyc", "lib.so", "lib.so.12", "x.h")]
    own = [
        packages / "b.pth",
        packages / "a.dist-info" / "RECORD",
        packages / "a" / "data.json",
        packages / "a" / "named.py",
    ]
    own += [Path("home/m.py"), Path("home/lib.so")]
    for name in (*shared, *own):
        (builder / name).parent.mkdir(parents=True, exist_ok=True)
        (builder / name).write_text(str(builder) if name.name == "named.py" else name.name)
    (builder / own[0]).chmod(0o640)
    version = tmp_path / "images" / "one" / "bbbb"
    images.make(builder, version)
    first, other = (begun(version, tmp_path / name / "n0").path for name in ("x", "y"))
    for name in shared:
        assert (first / name).samefile(version / name) and (first / name).read_text() == name.name
    for name in own:
        assert not (first / name).samefile(version / name), name
        (first / name).write_text("of this node")
        assert (other / name).read_text() in (name.name, str(other)), name
    assert stat.S_IMODE((other / own[0]).stat().st_mode) == 0o640
    assert not list(first.rglob(".skyrig-*"))


@pytest.mark.skipif(os.getuid() != 0, reason="makes the devices by which overlays say that a file is gone")
def test_changes_of_the_system_come_along(tmp_path: Path) -> None:
    builder = node(tmp_path / "builder" / "n0")
    upper = builder / "changes" / "usr" / "upper"
    (upper / "bin" / "__pycache__").mkdir(parents=True)
    (upper / "bin" / "added").write_text("x")
    os.mknod(upper / "bin" / "removed", stat.S_IFCHR | 0o600, 0)
    (builder / "changes" / "usr" / "work").mkdir()
    version = tmp_path / "images" / "one" / "bbbb"
    assert images.make(builder, version)["changed"]
    found = begun(version, tmp_path / "other" / "n0").path / "changes" / "usr"
    assert stat.S_ISCHR((found / "upper" / "bin" / "removed").lstat().st_mode)
    assert (found / "upper" / "bin" / "added").read_text() == "x" and not (found / "work").exists()
    assert not (found / "upper" / "bin" / "__pycache__").exists()
    with pytest.raises(LocalNodeError, match="level plain share"):
        begun(version, tmp_path / "plain" / "n0", "plain")


def test_one_that_cannot_be_used_is_refused(version: Path, tmp_path: Path) -> None:
    described = json.loads((version / "image.json").read_text())
    (version / "image.json").write_text(json.dumps({**described, "python": "CPython 2.7 z80"}))
    with pytest.raises(LocalNodeError, match=r"is of CPython 2\.7 z80"):
        begun(version, tmp_path / "a" / "n0")
    with pytest.raises(LocalNodeError, match="is gone"):
        begun(version.with_name("cccc"), tmp_path / "b" / "n0")


def test_it_is_whole_or_not_there(tmp_path: Path) -> None:
    """A make that was cut off leaves nothing that counts, and the next one clears it away."""
    version = tmp_path / "images" / "one" / "aaaa"
    half = version.with_name(".aaaa.1234")
    half.mkdir(parents=True)
    assert images.check(version) == {}
    builder = node(tmp_path / "builder" / "n0")
    first = images.make(builder, version)
    assert not half.exists()
    (builder / "home" / "later").touch()
    assert images.make(builder, version) == first and not (version / "home" / "later").exists()
    (builder / "stopped").unlink()
    with pytest.raises(LocalNodeError, match="switched off"):
        images.make(builder, version.with_name("bbbb"))
    images.remove(version)
    assert not version.parent.exists()


def test_the_engine_makes_keeps_and_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the resource's own provider, and what becomes of one whose run was cut off."""
    from components.local.imaging import LocalImageProvider
    from skyrig.cluster.imagery import WantedImage
    from skyrig.cluster.shape import of_image
    from skyrig.images import here
    from skyrig.stack import pending

    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    source = f"{node(tmp_path / 'local' / 'one-builder' / 'n0')}@a"
    wanted, provider = WantedImage("one", "local", "", source, "d"), LocalImageProvider()
    props = {"image": "one", "mark": wanted.mark, "source": source}
    made = provider.create(props)
    assert made.id == f"skyrig:one/{wanted.mark}" and here.folder(made.id).is_dir()
    create = pending.Create("urn:x::one", "pulumi-python:dynamic/skyrig:LocalImage", props)
    resolver = pending.resolver_of(create)
    assert resolver is not None
    assert resolver(create, of_image(wanted)).says == "the version is there, and is taken over"
    assert provider.read(made.id, made.outs).id == made.id and not provider.diff(made.id, made.outs, props).changes
    other = {**props, "mark": "ffffffff"}
    assert provider.diff(made.id, made.outs, other).replaces == ["mark"]
    assert resolver(create, None).says.endswith("removed") and not (tmp_path / "images" / "one").exists()
    assert provider.read(made.id, made.outs).id is None
    provider.delete(made.id, made.outs)
