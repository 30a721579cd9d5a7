"""What a cloud more costs: its own folders, one line of registration, facts of the catalog, docs. A made-up one is laid
over a copy of the project and used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from user import ROOT, User, end_nodes

from skyrig.fleet.local import node

pytestmark = pytest.mark.e2e

MADE_UP = Path(__file__).with_name("made_up")
NAME = "atlantis"
REGISTRY = "skyrig/cluster/clouds.py"
LINE = f'    "{NAME}": Registered(),\n'
PARTS = ("skyrig", "components", "stacks", "templates", "tools", "docs", "tasks.py", "Pulumi.yaml", "invoke.yaml")
"""What of the project is copied: all that a command of ours reads."""
OWN = ("components/{}/", "skyrig/clouds/{}/", "skyrig/catalog/data/{}/", "docs/clouds/{}.md")
"""What may bear a cloud's name and be its own."""


class Adding(User):
    """Somebody who adds a cloud to a project of their own: a copy, which python finds before any other."""

    def __init__(self, folder: Path, stack: str) -> None:
        super().__init__(folder, stack)
        shutil.rmtree(self.clone)
        self.clone.mkdir()
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, self.clone / part, ignore=_left_out)
            else:
                shutil.copy(ROOT / part, self.clone)
        self.env |= {"PYTHONPATH": str(self.clone), "SKYRIG_SSH_FROM": "127.0.0.1/32"}

    @property
    def machines(self) -> list[Path]:
        """Folders of the made-up cloud's machines."""
        return sorted((self.home / NAME / self.stack).glob("n*"))

    def json(self, *words: str) -> Any:
        """The JSON that a verb prints, of this project."""
        return json.loads(self.run(*words, "--json").out)

    def statuses(self) -> dict[str, str]:
        """Status of each node, as `status` tells it."""
        [cluster] = self.json("status", "-c", self.stack)["clusters"]
        return {each["name"]: each["status"] for each in cluster["nodes"]}


def _left_out(folder: str, names: list[str]) -> list[str]:
    """Stacks of whoever runs the tests, and what Python compiled."""
    return [name for name in names if name == "__pycache__" or (name.startswith("Pulumi.") and name.endswith(".yaml"))]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adding]:
    """Somebody whose project has the made-up cloud."""
    made = Adding(tmp_path_factory.mktemp("adding"), "deep")
    shutil.copytree(MADE_UP, made.clone, dirs_exist_ok=True, ignore=_left_out)
    registry = made.clone / REGISTRY
    before, brace, after = registry.read_text().rpartition("}\n")
    registry.write_text(f"{before}{LINE}{brace}{after}")
    yield made
    end_nodes(made.home)
    node.stop_all(made.home / NAME / made.stack)


def test_a_cloud_more_is_its_own_folders_and_one_line(person: Adding) -> None:
    files = [path for part in PARTS for path in [person.clone / part, *(person.clone / part).rglob("*")]]
    names = [str(path.relative_to(person.clone)) for path in files if path.is_file()]
    new = [name for name in names if not (ROOT / name).exists()]
    assert new and all(name.startswith(tuple(place.format(NAME) for place in OWN)) for name in new)
    other = [name for name in names if name not in new and _read(person.clone, name) != _read(ROOT, name)]
    assert other == [REGISTRY]
    before = _read(ROOT, REGISTRY).decode().splitlines(keepends=True)
    after = _read(person.clone, REGISTRY).decode().splitlines(keepends=True)
    assert [line for line in after if line not in before] == [LINE] and len(after) == len(before) + 1


def _read(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


@pytest.mark.soak
def test_and_it_is_a_cloud_like_any_other(person: Adding) -> None:
    assert NAME in person.run("check", NAME, check=None).told()
    asked = person.run("up", "-c", person.stack, "--infra", NAME, "--nodes", "2", check=2)
    assert "costs money" in asked.told() and not person.machines
    up = person.run("up", "-c", person.stack, "--infra", NAME, "--nodes", "2", "-y")
    assert "trident.8 in deep" in up.told() and len(person.machines) == 2
    assert person.statuses() == {"n0": "UP", "n1": "UP"}
    (person.clone / "t.yaml").write_text("num_nodes: 2\nrun: echo rank $SKYRIG_NODE_RANK\n")
    out = person.run("launch", "t.yaml", "-c", person.stack, "-y").out
    assert b"rank 0" in out and b"rank 1" in out

    stop = person.run("stop", "-c", person.stack, "-y", check=2)
    assert "a machine of Atlantis that stops sinks" in stop.told()
    down = person.run("down", "-c", person.stack, "-y")
    assert not person.machines and "deleted" in down.told()
