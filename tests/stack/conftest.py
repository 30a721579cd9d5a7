"""A project of its own with a tiny program (see program/), a state folder and a selection of its own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloned import Site

PROGRAM = Path(__file__).parent / "program"


@pytest.fixture
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's root, which is the current folder; nothing of the user's own Pulumi is seen."""
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    root = tmp_path / "project"
    shutil.copytree(PROGRAM, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A SKYRIG_HOME of its own for clones of the whole project; nothing of it runs on after the test."""
    made = Site(tmp_path)
    yield made
    made.close()
