"""A place for programs that use the API: a clone and a data folder of their own, in which this process works too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from user import User, end_nodes


@frozen
class Place:
    """`folder` is where programs run, with `env`."""

    folder: Path
    env: dict[str, str]

    def run(self, program: Path | str, *, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program, a file or a text, to its end."""
        words = [str(program)] if isinstance(program, Path) else ["-c", program]
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder or self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, program: str) -> subprocess.Popen[str]:
        """Start a text as a program, in a session of its own, and leave it running."""
        return subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The place, for one module of tests, on which tasks that need a cloud run on local nodes; clusters that are left
    are taken down in the end."""
    person = User(tmp_path_factory.mktemp("api"), "unused")
    env = {**person.env, "SKYRIG_INFRA": "local"}
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(env):
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        patch.chdir(person.clone)
        yield Place(person.clone, env)
        end_nodes(person.home)
