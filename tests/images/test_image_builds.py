"""Builds of images that do not go their usual way: what they leave, and what they never touch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from skyrig import building, listing, verbs
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.cluster.imagery import MadeImage, WantedImage
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, NoCapacity, SkyrigError
from skyrig.images import building as progress
from skyrig.images.building import Progress
from skyrig.launch.job import JobRecord, JobStatus
from skyrig.stack import backend, described, imagestacks, stacks
from skyrig.task import reading
from skyrig.task.model import Task

RUNNING = JobRecord(1, "u", "mine-image", JobStatus.RUNNING, 1, 1.0)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[str]:
    """Names of the clusters that are there: at first none, and no image."""
    found: set[str] = set()
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    monkeypatch.setattr(backend, "has_anything", lambda stack: stack in found)
    monkeypatch.setattr(described, "describe", lambda stack, **_: None)
    monkeypatch.setattr(stacks, "is_there", lambda stack: stack in found)
    monkeypatch.setattr(stacks, "everything", lambda: sorted(found))
    for name in ("down", "remove"):
        monkeypatch.setattr(stacks, name, lambda stack, notify, name=name: found.discard(stack))
    monkeypatch.setattr(building.agreement, "settle", lambda stack, notify, lenient: None)
    monkeypatch.setattr(building.local, "sweep", lambda stack, notify: None)
    return found


def task(text: str = "setup: make\n") -> Task:
    return reading.loads(text).only()


def build(wanted: Task, told: list[str]) -> object:
    return building.build(building.Wanted("mine", wanted), io.BytesIO(), told.append, lambda question: True)


def test_a_task_that_names_its_image_begins_without(there: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is launched from an image, and built into it, is one file."""
    asked: list[Task] = []

    def launch(what: Task, *_: Any, **__: Any) -> int:
        asked.append(what)
        raise NoCapacity("no cloud has that")

    monkeypatch.setattr(verbs, "launch", launch)
    with pytest.raises(NoCapacity):
        build(task("resources: {image_id: 'skyrig:mine'}\nsetup: make\n"), [])
    assert [each.resources.image for each in asked] == [None]
    with pytest.raises(BadInput, match="there is no image other"):
        build(task("resources: {image_id: 'skyrig:other'}\nsetup: make\n"), [])


def test_a_setup_whose_follower_left_makes_no_image(there: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a job is followed detaches from it, and is no failure of the launch."""

    def launch(*_: Any, **__: Any) -> int:
        there.add("mine-builder")
        return 0

    told: list[str] = []
    monkeypatch.setattr(verbs, "launch", launch)
    monkeypatch.setattr(verbs, "queue", lambda stack, notify: [RUNNING])
    with pytest.raises(SkyrigError, match="setup has not ended on mine-builder, and no image is made of it yet"):
        build(task(), told)
    begun = progress.read("mine")
    assert begun is not None and begun.passed == () and "mine-builder" in there
    assert told == ["image mine: the same command goes on with its builder; `image.delete mine` removes it"]


def test_an_image_is_made_of_the_machine_that_was_set_up(there: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is lost comes back under its id, with nothing on it: with the very run that would switch it off."""
    machines, launched, made = ["m1"], [0], list[WantedImage]()

    def launch(*_: Any, **__: Any) -> int:
        there.add("mine-builder")
        launched[0] += 1
        return 0

    def up(stack: str, shape: Shape, notify: object, **_: Any) -> None:
        machines.append(f"m{len(machines) + 1}" if len(machines) < 2 else machines[-1])

    def describe(stack: str, **_: Any) -> ClusterDescription | None:
        node = Node(id="n0", rank=0, host="h", port=22, address="h", user="u", host_key="k", incarnation=machines[-1])
        return ClusterDescription(stack, "local", (node,), SshAccess("k"), "file:///r") if stack in there else None

    async def sealed(*_: Any) -> bool:
        return True

    def make(wanted: WantedImage, notify: object, owner: str) -> MadeImage:
        made.append(wanted)
        return MadeImage("mine", "local", {"*": "skyrig:mine/1"})

    for where, name, does in (
        (verbs, "launch", launch), (verbs, "queue", lambda stack, notify: []), (building, "_sealed", sealed),
        (stacks, "settled", lambda stack, notify: Shape()), (stacks, "up", up), (described, "describe", describe),
        (imagestacks, "make", make),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, does)
    told: list[str] = []
    build(task(), told)
    assert "image mine: its builder was lost after it was cleaned: it is made anew" in told
    assert launched == [2] and [each.source.rpartition("@")[2] for each in made] == ["m2"]


def test_a_builder_that_cannot_be_had_is_no_build_that_was_cut_off(
    there: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(*_: Any, **__: Any) -> int:
        raise NoCapacity("no cloud has that")

    told: list[str] = []
    monkeypatch.setattr(verbs, "launch", launch)
    with pytest.raises(NoCapacity):
        build(task(), told)
    assert (progress.read("mine"), listing.listed(), told) == (None, [], [])


def test_what_an_engine_was_cut_off_over_is_deleted_though_it_is_no_image_yet(
    there: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stack may hold an image that costs money, which no output tells of."""
    deleted: list[str] = []
    monkeypatch.setattr(imagestacks, "names", lambda: [] if deleted else ["mine"])
    monkeypatch.setattr(imagestacks, "read", lambda name: None)
    monkeypatch.setattr(imagestacks, "delete", lambda name, notify: deleted.append(name))
    progress.write("mine", evolve(Progress("d"), passed=("sealed",)))
    assert [(each.name, each.unfinished) for each in listing.listed()] == [("mine", True)]
    building.delete("mine", print, lambda question: True)
    assert deleted == ["mine"] and progress.read("mine") is None and listing.listed() == []
