"""A clone of its own for every test: Skyrig's project files in a new folder, with state and nodes beside it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import field, frozen
from user import end_nodes

ROOT = Path(__file__).parents[2]
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
        own = {"SKYRIG_HOME": str(self.home), "PULUMI_HOME": str(self.home.with_name("pulumi"))}
        return {**kept, **own, "SKYRIG_SSH_CONFIG": "", **self.env_more}

    def run(self, door: str, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """One command line through a door, without a terminal."""
        return subprocess.run(
            [*DOORS[door], *words],
            cwd=self.path,
            env=self.env,
            stdin=subprocess.DEVNULL,
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


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A clone with nothing in it yet; whatever nodes a test leaves are ended."""
    folder = tmp_path / "clone"
    (folder / "stacks").mkdir(parents=True)
    for name in ("Pulumi.yaml", "tasks.py", "invoke.yaml", "stacks/__main__.py"):
        shutil.copy(ROOT / name, folder / name)
    made = Clone(folder, tmp_path / "home")
    yield made
    end_nodes(made.home)
