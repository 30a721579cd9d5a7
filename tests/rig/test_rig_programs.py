"""The programs of storage: which way to them is taken, and that what is got is the checked one, whole or not at all."""

import functools
import hashlib
import http.server
import io
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_clone import ROOT, Clone, script

CHOOSE = """
import os, programs, speech
try:
    source = programs.choose({name!r}, programs.here(), os.environ["PATH"], lambda url: {reachable})
    print(source.kind, source.path)
except speech.Failure as failure:
    print("failure", failure)
"""
GET = """
import errand, pathlib, programs, sys
program = programs.PROGRAMS["rclone"]
source = programs.Source(program, "linux-arm64", "build", programs.home(program, "linux-arm64"))
programs.Getter(source, errand.Errands()).get()
print(source.path)
"""
GO = """#!/bin/sh
case $1 in env) echo go1.99.0; exit ;; esac
echo "$GOOS $GOARCH $CGO_ENABLED $*" >{calls}
for word; do
    case $word in -o=*) echo built >"${{word#-o=}}" ;; esac
done
exit {code}
"""

# what the rclone on PATH says, and whether it will do
FOUND = {
    "just new enough": ("rclone v1.68.0", True),
    "a distribution's": ("rclone v1.60.1-DEV", False),
    "newer": ("rclone v2.1.0", True),
    "too old": ("rclone v1.59.2", False),
    "no version": ("", False),
}
SCRIPT = ROOT / "tools" / "rig" / "release.py"


def choice(clone: Clone, name: str, *, reachable: bool = False) -> str:
    """What rig chooses for a program."""
    return clone.inside(CHOOSE.format(name=name, reachable=reachable)).strip()


@pytest.mark.parametrize("name", FOUND)
def test_an_rclone_on_path_is_taken_if_it_will_do(clone: Clone, name: str) -> None:
    says, good = FOUND[name]
    theirs = script(clone.bin / "rclone", f"#!/bin/sh\necho '{says}'\n")
    said = choice(clone, "rclone", reachable=True)
    assert said == f"found {theirs}" if good else said.startswith(f"release {clone.cache}/rclone/")


def test_each_way_is_taken_where_no_better_one_is_open(clone: Clone, tmp_path: Path) -> None:
    assert choice(clone, "rclone").startswith("failure no way to rclone (none on PATH")
    assert "install Go 1.25 or newer, then" in choice(clone, "versitygw")
    script(clone.bin / "go", GO.format(calls=tmp_path / "calls", code=0))
    script(clone.bin / "versitygw", "#!/bin/sh\n")
    assert choice(clone, "versitygw").startswith(f"build {clone.cache}/versitygw/"), "another one may be any version"
    assert choice(clone, "versitygw", reachable=True).startswith("release ")


def test_one_for_another_platform_is_built_without_c(clone: Clone, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    script(clone.bin / "go", GO.format(calls=calls, code=0))
    program = Path(clone.inside(GET).strip())
    assert (program.read_text(), program.parent.name) == ("built\n", "linux-arm64")
    assert calls.read_text().startswith("linux arm64 0 build -mod=readonly -trimpath")
    assert program.stat().st_mode & 0o111


def test_a_build_that_fails_leaves_nothing_behind(clone: Clone, tmp_path: Path) -> None:
    script(clone.bin / "go", GO.format(calls=tmp_path / "calls", code=1))
    with pytest.raises(subprocess.CalledProcessError):
        clone.inside(GET)
    assert not [path for path in clone.cache.rglob("*") if path.name in ("rclone.new", "linux-arm64")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A server of releases on loopback: its folder and its url."""
    folder = tmp_path / "site"
    folder.mkdir()
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def release(folder: Path, kind: str) -> str:
    """Put an archive with a program of ours into `folder`, and its sum beside it; its name."""
    name, inner, content = f"ours-v1.{kind}", "ours-v1/bin/ours", b"the program"
    if kind == "zip":
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(inner, content)
    else:
        with tarfile.open(folder / name, "w:gz") as archive:
            info = tarfile.TarInfo(inner)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "sums").write_text(f"{'0' * 64}  other\n{digest}  {name}\n")
    return name


def got(url: str, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the program that gets releases says of this one."""
    command = [sys.executable, "-I", str(SCRIPT), f"{url}/{name}", f"{url}/sums", "ours", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_the_program_is_taken_out_of_its_release(site: tuple[Path, str], tmp_path: Path, kind: str) -> None:
    folder, url = site
    done = got(url, release(folder, kind), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ours").read_bytes() == b"the program"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "site"], "the archive is gone"


def test_a_release_that_is_not_the_listed_one_is_not_taken(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = site
    name = release(folder, "zip")
    with (folder / name).open("ab") as archive:
        archive.write(b"more")
    done = got(url, name, tmp_path)
    assert done.returncode == 1 and "do not match the hashes" in done.stderr
    assert not (tmp_path / "ours").exists()
    assert got(url, "unknown.zip", tmp_path).returncode == 1
