"""The Pulumi engine: found on PATH, got as the official release, or built from Go modules.

Which of the three it is gets chosen by looking, before anything is made. What rig gets itself lies in the user's cache
folder, for all clones; it is put together in a folder beside and renamed, so that it is there whole or not at all.
"""

import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from errand import Errands, why
from folders import KEPT, PYTHON, ROOT, engine_home, locked
from limits import ENGINE, GO_DISK_MB, GO_MINUTES, GO_PACKAGES, OFFICIAL_DISK_MB, OFFICIAL_DOWNLOAD_MB, PROBE_S
from speech import Failure, about

PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
WRAPPER_MARK = b"Skyrig's pulumi wrapper"
OFFICIAL = "https://get.pulumi.com/install.sh"
"""What the Automation API's installer starts from; asked for only to see whether it can be reached."""

MODULES = ROOT / "tools" / "engine"
ENGINE_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
LANGUAGE_PACKAGE = "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
VERSION_FLAG = f"-X {SDK_MODULE}/go/common/version.Version=v{ENGINE}"


@dataclass(frozen=True)
class Source:
    """Where the engine comes from: `kind` is found, official or build; `folder` will hold its programs."""

    kind: str
    folder: Path
    words: str
    """What will be done, for the user; empty where nothing is to be got."""

    disk_mb: int = 0


def choose(path: str, reachable: Callable[[], bool]) -> Source:
    """Look which way to the engine is open, best first; raises Failure where none is."""
    on_path = find(path.split(os.pathsep))
    if on_path:
        return Source("found", on_path, "")
    own = engine_home()
    if all(os.access(own / "bin" / name, os.X_OK) for name in PROGRAMS):
        return Source("found", own / "bin", "")
    if reachable():
        words = f"official release, about {about(OFFICIAL_DOWNLOAD_MB)} to download, into {own}"
        return Source("official", own / "bin", words, OFFICIAL_DISK_MB)
    check_go()
    words = f"built from pinned Go modules in {GO_MINUTES} (Go's caches take {about(GO_DISK_MB)}), into {own}"
    return Source("build", own / "bin", words, GO_DISK_MB)


def find(folders: Iterable[str]) -> Path | None:
    """The first folder with a Pulumi that is new enough and has its Python side; our own wrapper does not count."""
    for folder in folders:
        program = Path(folder or ".", "pulumi").absolute()
        if not program.is_file() or not os.access(program, os.X_OK):
            continue
        with program.open("rb") as file:
            if WRAPPER_MARK in file.read(300):
                continue
        for home in (program.parent, program.resolve().parent):
            if all(os.access(home / name, os.X_OK) for name in PROGRAMS) and new_enough(home / "pulumi"):
                return home
    return None


def new_enough(program: Path) -> bool:
    """Does `program` say that it is Pulumi ENGINE or a later 3.x?"""
    quiet = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        said = subprocess.run([program, "version"], capture_output=True, env=quiet, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.match(rb"v(\d+)\.(\d+)\.(\d+)", said)
    wanted = tuple(int(part) for part in ENGINE.split("."))
    return found is not None and wanted <= tuple(int(part) for part in found.groups()) < (wanted[0] + 1,)


def official_reachable(url: str = OFFICIAL) -> bool:
    """Does the official release's server answer within PROBE_S? A dead name service may not hold rig up longer."""
    answers: list[int] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=PROBE_S) as answer:
                answers.append(answer.status)
        except (OSError, ValueError, urllib.error.URLError):
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_S)
    return answers == [200]


def check_go(
    module: Path = MODULES / "pulumi", what: str = "Pulumi's engine", instead: str = f"Pulumi {ENGINE} or newer"
) -> None:
    """Is there a Go that can build the pinned `module`, which is `what`? Else a Failure that says what to install."""
    needed = re.search(r"^go (\d+)\.(\d+)", module.joinpath("go.mod").read_text(), re.MULTILINE)
    assert needed, "go.mod names its Go version"
    wanted = (int(needed[1]), int(needed[2]))
    other = f", or {instead}" if instead else ""
    advice = f"install Go {needed[1]}.{needed[2]} or newer{other}, then run it again"
    try:
        said = subprocess.check_output(["go", "env", "GOVERSION", "GOTOOLCHAIN"], text=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        missing = "none on PATH, its official release cannot be reached, no Go to build it"
        raise Failure(f"no way to {what} ({missing}): {advice}") from None
    found = re.match(r"go(\d+)\.(\d+)", said)
    have = (int(found[1]), int(found[2])) if found else (0, 0)
    fetches_newer = have >= (1, 21) and "local" not in said
    if have < wanted and not fetches_newer:
        raise Failure(f"this Go is too old to build {what} ({said.split()[0]}): {advice}")


class Getter:
    """Gets the engine from `source`; `now` is what it is doing. `python` is one that has the Pulumi package, `log` gets
    the output of the step under way."""

    def __init__(
        self, source: Source, errands: Errands, *, python: Path = PYTHON, log: Path = KEPT / "log" / "engine.log"
    ) -> None:
        self.source = source
        self.now = ""
        self.log = log
        self._python = python
        self._errands = errands
        self._fresh = engine_home().with_name(f"{ENGINE}.new")

    def state(self) -> str:
        """What goes on, for a progress line; empty before the first step."""
        return told(self.now, self.log, GO_PACKAGES)

    def get(self, packages_ready: threading.Event) -> None:
        """Have the engine in `source.folder`. The official installer waits for `packages_ready`: it is one of them."""
        if self.source.kind == "found":
            return
        if self.source.kind == "official":
            packages_ready.wait()
        home = engine_home()
        busy = f"another rig gets the engine into {home} (or what a killed one left running does); waiting for it"
        with locked(home.with_name(f"{ENGINE}.lock"), busy) as lock:
            if all(os.access(home / "bin" / name, os.X_OK) for name in PROGRAMS):
                return
            shutil.rmtree(home, ignore_errors=True)
            shutil.rmtree(self._fresh, ignore_errors=True)
            self._fresh.joinpath("bin").mkdir(parents=True)
            self.log.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._fill(lock)
                if not new_enough(self._fresh / "bin" / "pulumi"):
                    raise Failure(f"what was got is no Pulumi {ENGINE} that runs here (see {self.log})")
                self._fresh.rename(home)
            finally:
                shutil.rmtree(self._fresh, ignore_errors=True)

    def _fill(self, lock: int) -> None:
        if self.source.kind == "official":
            self.now = "installing the official release"
            try:
                self._run([str(self._python), "-I", "-c", INSTALL, str(self._fresh), ENGINE], lock)
                return
            except Failure as failure:
                self.now = f"the official release failed ({failure}); building instead"
                check_go()
        self._build(lock)

    def _build(self, lock: int) -> None:
        target = str(self._fresh / "bin")
        self.now = "building the engine"
        self._go(MODULES / "pulumi", lock, f"-ldflags=-s -w {VERSION_FLAG}", f"-o={target}/pulumi", ENGINE_PACKAGE)
        self.now = "building the language host"
        self._go(MODULES / "language", lock, "-ldflags=-s -w", f"-o={target}/pulumi-language-python", LANGUAGE_PACKAGE)
        command = ["go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", SDK_MODULE]
        sdk = subprocess.check_output(command, cwd=MODULES / "pulumi", env=go_environment(), text=True).strip()
        for script in SCRIPTS:
            source = Path(sdk, script)
            copy = self._fresh / "bin" / source.name
            shutil.copyfile(source, copy)
            copy.chmod(0o755)

    def _go(self, folder: Path, lock: int, *arguments: str) -> None:
        command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-v", *arguments]
        self._run(command, lock, folder=folder)

    def _run(self, command: list[str], lock: int, folder: Path | None = None) -> None:
        environment = go_environment() if command[0] == "go" else None
        code = self._errands.run(command, self.log, environment=environment, folder=folder, locks=[lock])
        if code != 0:
            raise Failure(f"Pulumi's engine cannot be had: {why(self.log)}")


def told(now: str, log: Path, most: int = 0) -> str:
    """The step `now` and how far Go has come in it by its log, for a progress line; `most` packages are compiled at
    most, if that is known. Go names each package when it is compiled."""
    lines = log.read_text(errors="replace").splitlines() if now and log.exists() else []
    compiled = sum(1 for line in lines if " " not in line)
    fetched = sum(1 for line in lines if line.startswith("go: downloading"))
    parts = [now] if now else []
    parts += [f"{fetched} modules got"] if fetched else []
    parts += [f"{compiled} packages compiled" + (f" (at most {most} are)" if most else "")] if compiled else []
    return ", ".join(parts)


INSTALL = """
import sys
from pulumi.automation import PulumiCommand
from semver import VersionInfo
PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
"""


def go_environment() -> dict[str, str]:
    """For Go: modules as pinned, and no C compiler, which a fresh machine may lack."""
    return os.environ | {"CGO_ENABLED": "0", "GO111MODULE": "on", "GOWORK": "off"}


def room(source: Source) -> dict[Path, int]:
    """Megabytes that getting the engine takes, by folder."""
    return {caches() if source.kind == "build" else engine_home(): source.disk_mb}


def caches() -> Path:
    """Go's build cache: where most of what a build needs goes."""
    said = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=False).stdout
    return Path(said.strip() or "~/.cache/go-build").expanduser()
