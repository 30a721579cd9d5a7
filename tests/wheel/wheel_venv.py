"""A wheel of this tree, and environments that have nothing but it: no clone, nothing activated."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skyrig import places

ROOT = Path(__file__).parents[2]
UV = Path(sys.prefix) / "bin" / "uv"


def built(target: str, folder: Path, tree: Path = ROOT) -> Path:
    """The `target` ("wheel" or "sdist") of `tree`, in `folder`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    return next(folder.iterdir())


class Installed:
    """Skyrig in a virtual environment at `folder`/venv, by the wheel alone; `pinned`: with the versions of `./rig`."""

    def __init__(self, folder: Path, wheel: Path, python: str = sys.executable, *, pinned: bool = True) -> None:
        self.folder = folder
        self.home = folder / "data"
        self.work = folder / "work"
        self.work.mkdir()
        self.bin = folder / "venv" / "bin"
        _uv("venv", "--python", python, str(folder / "venv"))
        pins = [f"--constraint={ROOT / 'requirements' / 'base.txt'}"] if pinned else []
        _uv("pip", "install", "--python", str(self.python), *pins, str(wheel))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "SKYRIG_"))}
        self.env = {
            **{name: value for name, value in kept.items() if name not in ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")},
            "PATH": _path_without(Path(sys.prefix) / "bin"),
            "SKYRIG_HOME": str(self.home),
            "SKYRIG_CACHE": str(places.cache()),
            "PULUMI_HOME": str(folder / "pulumi"),
        }

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.bin / "python"

    @property
    def site_packages(self) -> Path:
        """The environment's packages."""
        return next(self.folder.glob("venv/lib/python3*/site-packages"))

    @property
    def project(self) -> Path:
        """The Pulumi project that Skyrig makes."""
        return self.home / "project"

    def run(self, *command: str | Path, code: int = 0, **more: str) -> str:
        """What a command says, run in the empty folder; `more` goes into its environment."""
        done = subprocess.run(
            command,
            cwd=self.work,
            env=self.env | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if code else "")

    def skyrig(self, *words: str, code: int = 0, **more: str) -> str:
        """What `skyrig WORDS` says; its path is given, for nothing is activated."""
        return self.run(self.bin / "skyrig", *words, code=code, **more)

    def json(self, *words: str) -> Any:
        """The JSON that a verb prints."""
        return json.loads(self.skyrig(*words, "--json"))

    def inside(self, code: str, **more: str) -> str:
        """What Python code prints in the environment."""
        return self.run(self.python, "-I", "-c", code, **more).strip()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make all folders in `folder` read-only (for root they are not), and see that nothing changes there but the byte
    code that Python itself keeps. Files keep their modes: uv's cache may share them with other environments."""
    before = _digests(folder)
    inside = [path for path in (folder, *folder.rglob("*")) if path.is_dir()]
    for path in inside:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in inside:
            path.chmod(0o755)
    assert _digests(folder) == before


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if "__pycache__" not in path.parts and not path.is_dir())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _uv(*words: str) -> None:
    done = subprocess.run([UV, "--quiet", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _path_without(folder: Path) -> str:
    """PATH without `folder`, and without any folder that has a `pulumi`."""
    entries = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(each for each in entries if Path(each) != folder and not shutil.which("pulumi", path=each))
