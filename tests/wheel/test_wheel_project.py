"""The Pulumi project of an installed Skyrig, and which engine runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from wheel_venv import ROOT, Installed

FIND = "from skyrig.stack import project; print(project.find())"
MADE = "from skyrig.stack import project; print(project.made())"
ENGINE = "from skyrig.stack import engine; print(engine.binary())"
PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")


def test_looking_for_the_project_makes_nothing(installed: Installed, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert installed.inside(FIND, SKYRIG_HOME=str(home)) == str(home / "project")
    assert not home.exists()


def test_the_project_is_brought_up_to_date_and_configs_stay(installed: Installed, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    folder = Path(installed.inside(MADE, SKYRIG_HOME=home))
    fresh = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert len(fresh) == 3
    config = folder / "stacks" / "Pulumi.mine.yaml"
    config.write_text("config: {}\n")
    for path in fresh:
        path.write_text("of another version\n")
    installed.inside(MADE, SKYRIG_HOME=home)
    assert {path: path.read_text() for path in folder.rglob("*") if path.is_file()} == {
        **fresh,
        config: "config: {}\n",
    }
    assert (folder / "Pulumi.yaml").read_text() == (ROOT / "Pulumi.yaml").read_text()


@pytest.mark.parametrize("inside", [".", "stacks"])
def test_a_copy_of_the_project_is_a_project(installed: Installed, tmp_path: Path, inside: str) -> None:
    own = Path(installed.inside(MADE, SKYRIG_HOME=str(tmp_path / "home")))
    team = tmp_path / "team repository"
    shutil.copytree(own, team)
    found = installed.inside(f"import os; os.chdir({str(team / inside)!r}); {FIND}", SKYRIG_HOME=str(tmp_path))
    assert found == str(team)


def test_a_clone_is_left_to_its_own_skyrig(installed: Installed, tmp_path: Path) -> None:
    assert installed.inside(f"import os; os.chdir({str(ROOT)!r}); {FIND}", SKYRIG_HOME=str(tmp_path)) != str(ROOT)


def pulumi(folder: Path, version: str) -> Path:
    """A folder with stand-ins of the engine's programs; each call of `pulumi` adds a line to the file `calls`."""
    folder.mkdir(exist_ok=True)
    for name in PROGRAMS:
        file = folder / name
        file.write_text(f"#!/bin/sh\necho v{version}\necho called >>'{folder}/calls'\n")
        file.chmod(0o755)
    return folder


def test_a_pulumi_of_the_users_own_is_taken_if_it_is_new_enough(installed: Installed, tmp_path: Path) -> None:
    cached = pulumi(tmp_path / "3.258.0", "3.258.0").rename(tmp_path / "bin")
    (tmp_path / "cache" / "engine" / "3.258.0").mkdir(parents=True)
    cached = cached.rename(tmp_path / "cache" / "engine" / "3.258.0" / "bin")
    theirs = tmp_path / "theirs"

    def chosen() -> str:
        where = {"SKYRIG_CACHE": str(tmp_path / "cache"), "PATH": f"{theirs}:{installed.env['PATH']}"}
        return installed.inside(ENGINE, **where)

    assert chosen() == str(cached / "pulumi"), "none on PATH"
    pulumi(theirs, "3.257.9")
    assert chosen() == str(cached / "pulumi"), "too old"
    pulumi(theirs, "3.300.1")
    assert chosen() == str(theirs / "pulumi"), "another one since then"
    calls = (theirs / "calls").read_text()
    assert chosen() == str(theirs / "pulumi")
    assert (theirs / "calls").read_text() == calls, "what was looked at is not asked again"
    shutil.rmtree(theirs)
    assert chosen() == str(cached / "pulumi"), "gone again"
