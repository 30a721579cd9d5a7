"""A clone of its own: Skyrig's project files in a new folder, with state and nodes beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen
from user import end_nodes

ROOT = Path(__file__).parents[1]
DOORS = {"invoke": [sys.executable, "-m", "invoke"], "skyrig": [sys.executable, "-m", "skyrig.cli"]}


@frozen
class Clone:
    """A project folder `path`, with SKYRIG_HOME at `home`; `env_more` is added to the environment of what is run."""

    path: Path
    home: Path
    env_more: dict[str, str] = field(factory=dict)

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "SKYRIG_"))}
        if "SKYRIG_CACHE" in os.environ:
            kept["SKYRIG_CACHE"] = os.environ["SKYRIG_CACHE"]
        own = {
            "SKYRIG_HOME": str(self.home),
            "SKYRIG_CATALOG": str(self.home.with_name("catalog")),
            "PULUMI_HOME": str(self.home.with_name("pulumi")),
        }
        return {**kept, **own, "SKYRIG_SSH_CONFIG": "", **self.env_more}

    def run(
        self, door: str, *words: str, timeout: float = 120, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One command line through a door, or of a program of that name, without a terminal."""
        return subprocess.run(
            [*DOORS.get(door, [door]), *words],
            cwd=self.path,
            env=self.env,
            input=stdin or "",
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
        )

    def made(self) -> list[str]:
        """What lies in the clone and in SKYRIG_HOME beyond the project's own files."""
        given = {"Pulumi.yaml", "tasks.py", "invoke.yaml", "stacks", "stacks/__main__.py"}
        inside = {str(each.relative_to(self.path)) for each in self.path.rglob("*") if "__pycache__" not in each.parts}
        return sorted(inside - given) + [str(each) for each in self.home.rglob("*")]


@contextmanager
def new_clone(folder: Path, **env_more: str) -> Iterator[Clone]:
    """A clone in `folder` with nothing in it yet; whatever nodes are left at the end of the block are ended."""
    path = folder / "clone"
    (path / "stacks").mkdir(parents=True)
    for name in ("Pulumi.yaml", "tasks.py", "invoke.yaml", "stacks/__main__.py"):
        shutil.copy(ROOT / name, path / name)
    made = Clone(path, folder / "home", env_more)
    yield made
    end_nodes(made.home)
