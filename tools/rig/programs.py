"""The programs of storage, rclone and versitygw: got as official releases, or built from pinned Go modules.

Each lies in the user's cache folder under its version and platform, for all clones and for nodes of another platform;
it is put together beside and renamed, as the engine is.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import engine
from errand import Errands, why
from folders import ROOT, cache, locked
from limits import STORAGE_DISK_MB, STORAGE_DOWNLOAD_MB, STORAGE_GO_DISK_MB
from speech import Failure, about

MODULES = ROOT / "tools" / "storage"
GITHUB = "https://github.com"


@dataclass(frozen=True)
class Program:
    """A program at one version. `release` and `sums` are urls, with {version}, {go} (as linux-amd64) and {uname} (as
    Linux_x86_64); `package` is what Go builds in the folder of MODULES that has its name."""

    name: str
    version: str
    release: str
    sums: str
    package: str
    flags: str = ""


PROGRAMS = {
    "rclone": Program(
        "rclone",
        "1.75.1",
        GITHUB + "/rclone/rclone/releases/download/v{version}/rclone-v{version}-{go}.zip",
        GITHUB + "/rclone/rclone/releases/download/v{version}/SHA256SUMS",
        ".",
        "-X github.com/rclone/rclone/fs.Version=v{version}",
    ),
    "versitygw": Program(
        "versitygw",
        "1.8.0",
        GITHUB + "/versity/versitygw/releases/download/v{version}/versitygw_v{version}_{uname}.tar.gz",
        GITHUB + "/versity/versitygw/releases/download/v{version}/checksums.txt",
        "github.com/versity/versitygw/cmd/versitygw",
        "-X main.Version={version}",
    ),
}

RCLONE_OLDEST = (1, 68)
"""rclone on PATH serves from this version on: the first whose queue of uploads can be asked (vfs/queue)."""


@dataclass(frozen=True)
class Source:
    """Where a program comes from: `kind` is found, release or build; it is, or will be, the file `path`."""

    program: Program
    platform: str
    kind: str
    path: Path

    @property
    def words(self) -> str:
        """What will be done, for the user; empty where nothing is to be got."""
        return {"found": "", "release": "official release", "build": "built from pinned Go modules"}[self.kind]

    @property
    def disk_mb(self) -> int:
        """Megabytes that getting it takes, Go's caches included."""
        half = {"found": 0, "release": STORAGE_DISK_MB + STORAGE_DOWNLOAD_MB, "build": STORAGE_GO_DISK_MB}[self.kind]
        return half // 2


def here() -> str:
    """This machine's platform, in Go's words: linux-amd64."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    return f"{sys.platform}-{machine}"


def home(program: Program, platform: str) -> Path:
    """The file that this program is, once it is got."""
    return cache() / program.name / program.version / platform / program.name


def choose(name: str, platform: str, path: str, reachable: Callable[[str], bool]) -> Source:
    """Look which way to a program is open, best first; raises Failure where none is. Only this machine's own rclone is
    looked for on PATH."""
    program = PROGRAMS[name]
    if name == "rclone" and platform == here():
        there = shutil.which(name, path=path)
        if there and new_enough(Path(there)):
            return Source(program, platform, "found", Path(there))
    own = home(program, platform)
    if os.access(own, os.X_OK):
        return Source(program, platform, "found", own)
    if reachable(url(program.sums, program, platform)):
        return Source(program, platform, "release", own)
    engine.check_go(MODULES / name, name, f"{name} {program.version}" if name == "rclone" else "")
    return Source(program, platform, "build", own)


def new_enough(rclone: Path) -> bool:
    """Does this rclone say that it is RCLONE_OLDEST or later?"""
    try:
        said = subprocess.run([rclone, "version"], capture_output=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.match(rb"rclone v(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= RCLONE_OLDEST


def url(text: str, program: Program, platform: str) -> str:
    """A url of the program's release for a platform."""
    system, _, machine = platform.partition("-")
    uname = f"{system.title()}_{'x86_64' if machine == 'amd64' else machine}"
    go = platform.replace("darwin", "osx")
    return text.format(version=program.version, go=go, uname=uname)


class Getter:
    """Gets one program from `source`; `now` is what it is doing."""

    def __init__(self, source: Source, errands: Errands, *, python: Path = Path(sys.executable)) -> None:
        self.source = source
        self.now = ""
        self._python = python
        self._errands = errands
        folder = source.path.parent
        self.log = folder.with_name(f"{folder.name}.log")
        self._fresh = folder.with_name(f"{folder.name}.new")
        self._lock = folder.with_name(f"{folder.name}.lock")

    def state(self) -> str:
        """What goes on, for a progress line; empty before the first step."""
        return engine.told(self.now, self.log)

    def get(self) -> None:
        """Have the program at `source.path`."""
        if self.source.kind == "found":
            return
        name, path = self.source.program.name, self.source.path
        with locked(self._lock, f"another one gets {name} into {path.parent}; waiting for it") as lock:
            if os.access(path, os.X_OK):
                return
            for folder in (path.parent, self._fresh):
                shutil.rmtree(folder, ignore_errors=True)
            self._fresh.mkdir(parents=True)
            try:
                self._fill(lock)
                self._fresh.joinpath(name).chmod(0o755)
                self._fresh.rename(path.parent)
            finally:
                shutil.rmtree(self._fresh, ignore_errors=True)

    def _fill(self, lock: int) -> None:
        source = self.source
        if source.kind == "release":
            self.now = f"getting {source.program.name}"
            urls = [
                url(text, source.program, source.platform) for text in (source.program.release, source.program.sums)
            ]
            script = str(Path(__file__).with_name("release.py"))
            try:
                self._run([str(self._python), "-I", script, *urls, source.program.name, str(self._fresh)], lock)
                return
            except Failure as failure:
                self.now = f"the official release failed ({failure}); building instead"
                engine.check_go(MODULES / source.program.name, source.program.name, "")
        self.now = f"building {source.program.name}"
        flags = source.program.flags.format(version=source.program.version)
        command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-v", f"-ldflags=-s -w {flags}"]
        target = f"-o={self._fresh / source.program.name}"
        self._run([*command, target, source.program.package], lock, MODULES / source.program.name)

    def _run(self, command: list[str], lock: int, folder: Path | None = None) -> None:
        system, _, machine = self.source.platform.partition("-")
        environment = engine.go_environment() | {"GOOS": system, "GOARCH": machine} if folder else None
        code = self._errands.run(command, self.log, environment=environment, folder=folder, locks=[lock])
        if code != 0:
            raise Failure(f"{self.source.program.name} cannot be had: {why(self.log)}")


def plan(sources: list[Source]) -> str:
    """What will be done to get these programs, for the user; empty where nothing is."""
    wanted = [source for source in sources if source.words]
    size = about(sum(source.disk_mb for source in wanted))
    each = ", ".join(f"{source.program.name} ({source.words})" for source in wanted)
    return f"{each}, up to {size}, into {cache()}" if wanted else ""
