"""The virtual environment: made, filled with pinned packages, and taken up again after a kill at any point.

What is finished carries a stamp, written last. A set whose installation was cut off carries a `doing` mark; then every
distribution is compared with its own list of files first, since pip and uv take one with a dist-info folder for whole.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from errand import Errands, why
from folders import KEPT, PYTHON, ROOT, VENV, read, write
from limits import ENGINE, SETS
from speech import Failure

FROM_SOURCE = {"deepspeed": {"DS_BUILD_OPS": "0"}}
"""Sets that hold a source distribution, built against what is installed, and the environment this needs."""

LEADERS = {
    "base": "pulumi", "dev": "pytest", "aws": "pulumi-aws", "gcp": "pulumi-gcp", "azure": "pulumi-azure-native",
    "oci": "pulumi-oci", "nebius": "pulumi-nebius", "kubernetes": "pulumi-kubernetes",
    "lora": "peft", "lightning": "pytorch-lightning",
    "serve": "fastapi", "postgres": "psycopg",
}  # fmt: skip
"""The distribution by which a set is known to be there, where it is not the one of its name."""


def pins(name: str) -> dict[str, str]:
    """Distribution -> version of requirement set `name`, markers left aside."""
    found: dict[str, str] = {}
    for line in ROOT.joinpath("requirements", f"{name}.txt").read_text().splitlines():
        if "==" in line and not line.startswith(("#", " ")):
            distribution, version = line.split(" ")[0].split("==")
            found.setdefault(distribution, version)
    return found


def installed(name: str) -> bool:
    """Is set `name` here, but perhaps for trifles? Told by the distribution that it is named for."""
    if read(KEPT / "doing") == name:
        return False
    leader = LEADERS.get(name, name)
    folder = f"{leader.replace('-', '_')}-{pins(name)[leader]}.dist-info"
    return any(VENV.glob(f"lib/python3*/site-packages/{folder}"))


class Environment:
    """The environment in VENV. `key` is what rig's shell part compares stamps with."""

    def __init__(self, key: str, errands: Errands) -> None:
        self._stamp = f"{key} {ROOT}"
        self._errands = errands
        self._uv = working_uv()
        self.now = ""
        self.locks: list[int] = []

    @property
    def installer(self) -> str:
        """The program that installs: uv or pip."""
        return "uv" if self._uv else "pip"

    def stamped(self, name: str) -> bool:
        """Is set `name` installed as the requirement files of now say?"""
        return read(KEPT / f"ok-{name}") == self._stamp

    def usable(self) -> bool:
        """Is there an environment to install into, neither broken nor moved nor half made?"""
        return works(PYTHON) and (not KEPT.joinpath("making").exists() or read(KEPT / "made") == str(ROOT))

    def make(self) -> None:
        """Have a usable environment in VENV; one that is not gets made anew if it is rig's own."""
        if self.usable():
            return
        if VENV.joinpath("pyvenv.cfg").exists() and not KEPT.joinpath("making").exists():
            raise Failure(f"{VENV} is no working environment and not of rig's making: remove it, then run it again")
        write(KEPT / "making", "")
        self.empty()
        self.now = "making .venv"
        command = [sys.executable, "-m", "venv", str(VENV)]
        if self._uv:
            command = [self._uv, "venv", "--allow-existing", "--seed", f"--python={sys.executable}", str(VENV)]
        self._run(command, "venv")
        if any(site_packages().glob("setuptools-*")):  # which Python 3.11 adds, and nothing of base uses
            self._run([str(PYTHON), "-I", "-m", "pip", "uninstall", "--yes", "setuptools", "wheel"], "venv")
        write(KEPT / "made", str(ROOT))

    def empty(self) -> None:
        """Remove everything in VENV but rig's notes; those lose their stamps."""
        for entry in VENV.iterdir():
            if entry != KEPT:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        for stamp in [*KEPT.glob("ok-*"), KEPT / "made", KEPT / "doing", KEPT / "stack"]:
            stamp.unlink(missing_ok=True)

    def install(self, name: str) -> None:
        """Install requirement set `name`; safe to repeat, also after a kill."""
        if self.stamped(name):
            return
        doing = KEPT / "doing"
        if doing.exists():
            self.now = "checking what an earlier run left"
            scrub()
        write(doing, name)
        self.now = f"installing {SETS[name].what} ({len(pins(name))} packages)"
        try:
            self._run(self._command(name), name, FROM_SOURCE.get(name, {}))
        except Failure:
            if name == "base" and KEPT.joinpath("making").exists():
                self.empty()
            raise
        doing.unlink()
        if name == "base":
            write_programs()
        self.stamp(name)

    def stamp(self, name: str) -> None:
        """Say that `name`, a set or what else a verb needs, is in place as the files of now say."""
        write(KEPT / f"ok-{name}", f"{self._stamp}\n")

    def _command(self, name: str) -> list[str]:
        file = str(ROOT / "requirements" / f"{name}.txt")
        if self._uv:
            command = [self._uv, "pip", "install", f"--python={PYTHON}"]
        else:
            command = [str(PYTHON), "-I", "-u", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
            command += ["--no-compile", "--progress-bar=off", "--no-warn-script-location", "--retries=3"]
        command += ["--no-deps", "--require-hashes", f"--requirement={file}"]
        if name in FROM_SOURCE:
            return [*command, "--no-build-isolation"]
        return [*command, "--only-binary=:all:"]

    def _run(self, command: Sequence[str], log: str, extra: dict[str, str] | None = None) -> None:
        temporary = KEPT / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
        environment |= {"TMPDIR": str(temporary), **(extra or {})}
        path = self.log(log)
        path.parent.mkdir(parents=True, exist_ok=True)
        code = self._errands.run(command, path, environment=environment, folder=ROOT, locks=self.locks)
        shutil.rmtree(temporary, ignore_errors=True)
        if code != 0:
            raise Failure(why(path))

    def newest_log(self) -> Path:
        """The log of the step under way."""
        return max(KEPT.glob("log/[!e]*.log"), key=lambda path: path.stat().st_mtime, default=self.log("base"))

    def log(self, name: str) -> Path:
        """The file with the output of the installation of set `name`."""
        return KEPT / "log" / f"{name}.log"


MISLEADING = {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
"""Variables of the user's that would send the packages elsewhere than into VENV."""


def working_uv() -> str | None:
    """A `uv` on PATH that runs (a shim may not), or None."""
    found = shutil.which("uv")
    if not found:
        return None
    return found if subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0 else None


def works(python: Path) -> bool:
    """Does `python` run, new enough, with pip in its environment?"""
    try:
        code = "import sys, pip; sys.exit(sys.version_info < (3, 11) or sys.prefix == sys.base_prefix)"
        return subprocess.run([python, "-I", "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def site_packages() -> Path:
    """The folder of VENV's packages."""
    return next(VENV.glob("lib/python3*/site-packages"))


def scrub() -> None:
    """Remove the dist-info folder of every distribution that is not whole, and what pip had set aside (`~name`)."""
    for entry in site_packages().iterdir():
        if entry.name.startswith("~"):
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix == ".dist-info" and not whole(entry):
            shutil.rmtree(entry)


def whole(dist_info: Path) -> bool:
    """Are all files of this distribution there, in the size that its RECORD gives?"""
    record = dist_info / "RECORD"
    if not record.exists() or not dist_info.joinpath("INSTALLER").exists():
        return False
    with record.open(newline="") as file:
        for path, _, size in csv.reader(file):
            try:
                there = os.stat(dist_info.parent / path).st_size  # noqa: PTH116 (20 000 files)
            except FileNotFoundError:
                if path.endswith(".pyc"):
                    continue
                return False
            if size and int(size) != there:
                return False
    return True


def write_programs() -> None:
    """Make the project itself usable: importable, `skyrig` and the `pulumi` wrapper in bin.

    A .pth file and a five-line script do what an editable install would, without a build of the project.
    """
    write(site_packages() / "skyrig.pth", f"{ROOT}\n")
    lines = [f"#!{PYTHON}", "import sys", "", "from skyrig.cli.program import main", "", "sys.exit(main())", ""]
    if len(lines[0]) > 120 or " " in lines[0]:
        lines[:1] = ["#!/bin/sh", f"'''exec' {json.dumps(str(PYTHON))} \"$0\" \"$@\"", "' '''"]
    write(VENV / "bin" / "skyrig", "\n".join(lines), 0o755)
    wrapper = ROOT.joinpath("tools", "rig", "pulumi.sh").read_text()
    write(VENV / "bin" / "pulumi", wrapper.replace("@ENGINE@", ENGINE), 0o755)
