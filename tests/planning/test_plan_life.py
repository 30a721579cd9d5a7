"""Plans on the real engine: they touch nothing, and an up that is bound to one does it exactly or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from user import User, end_nodes

pytestmark = pytest.mark.e2e
TASK = "name: loc\nnum_nodes: {}\nrun: echo hello\n"


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Somebody who has never run anything."""
    someone = User(tmp_path_factory.mktemp("plan"), "life")
    someone.env["SKYRIG_CACHE"] = str(someone.home.parent / "cache")
    yield someone
    end_nodes(someone.home)


def task(person: User, nodes: int) -> str:
    """A task file for so many nodes."""
    file = person.home.parent / f"task-{nodes}.yaml"
    file.write_text(TASK.format(nodes))
    return str(file)


def everything(folder: Path) -> dict[str, str]:
    """Each file below a folder and what it holds."""
    found = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    files = [file for file in found if "__pycache__" not in file.parts]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def planned(person: User, nodes: int, *words: str) -> dict[str, Any]:
    """The plan of a task, of which nothing but its scripts may stay."""
    before = everything(person.home), everything(person.clone)
    plan: dict[str, Any] = person.json("plan", task(person, nodes), "-c", person.stack, *words)
    assert (everything(person.home), everything(person.clone)) == before
    return plan


@pytest.mark.soak
def test_the_life_of_a_plan(person: User, tmp_path: Path) -> None:
    first, second = tmp_path / "first.plan", tmp_path / "second.plan"
    plan = planned(person, 2, "--save", str(first))
    assert plan["changes"]["source"] == "engine" and plan["changes"]["create"] == 4
    assert plan["offer"]["cloud"] == "local" and plan["offer"]["num_nodes"] == 2 and plan["cost"]["hourly"] == 0
    said = [Path(path).read_text() for path in plan["scripts"] if path.endswith("rank-1/user.sh")]
    assert said == ["echo hello"]

    made = person.run("up", "--plan", str(first)).told()
    assert f"{person.stack}: 4 made" in made
    names = {each["name"] for each in plan["changes"]["resources"]}
    assert all(f"{name} created" in made for name in names)
    assert planned(person, 2)["changes"]["create"] == 0

    more = planned(person, 3, "--save", str(second))
    assert [each["name"] for each in more["changes"]["resources"]] == [f"{person.stack}-local-main-n2"]
    late = person.run("up", "--plan", str(first), check=2)
    assert b"was changed since it was planned" in late.err

    gpus = task(person, 2)
    page = person.run("plan", gpus, "-c", person.stack, "--infra", "local", "--gpus", "H100:8")
    assert "! " in page.out.decode() and "a node would be replaced" in page.out.decode(), page.told()

    forged = json.loads(second.read_text())
    forged["changes"][0]["digest"] = "0" * 16
    second.write_text(json.dumps(forged))
    refused = person.run("up", "--plan", str(second), check=2)
    assert b"does not hold any more" in refused.err and set(person.nodes()) == {"n0", "n1"}
    assert planned(person, 2)["changes"]["create"] == 0, "the config was left as it was"


@pytest.mark.soak
def test_a_plan_that_does_not_hold_leaves_no_stack(person: User, tmp_path: Path) -> None:
    file = tmp_path / "forged.plan"
    person.run("plan", task(person, 2), "-c", "other", "--save", str(file))
    file.write_text(file.read_text().replace("LocalNetwork", "LocalNetworks"))
    assert b"does not hold any more" in person.run("up", "--plan", str(file), check=2).err
    assert "other" not in [each["name"] for each in person.json("status")["clusters"]]
    assert not (person.clone / "stacks" / "Pulumi.other.yaml").exists()


@pytest.mark.parametrize("words", [["--plan", "missing"], ["--plan", "{task}"], ["--plan", "{task}", "--nodes", "3"]])
def test_a_bad_plan_is_one_line(person: User, words: list[str]) -> None:
    done = person.run("up", *(word.format(task=task(person, 1)) for word in words), check=2)
    assert len(done.err.decode().strip().splitlines()) == 1 and not done.out
