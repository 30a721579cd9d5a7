"""image_id: skyrig:NAME, from the task file to what stands in a stack's config."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from skyrig import building, fitting, imaging, renting, verbs
from skyrig.clouds.cloud import NotUsable
from skyrig.cluster.imagery import EVERYWHERE, MadeImage
from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput
from skyrig.images import building as progress
from skyrig.images import prepared
from skyrig.images.prepared import Prepared
from skyrig.launch.keeper import sameness
from skyrig.planning import setups
from skyrig.stack import imagestacks, stacks
from skyrig.task import reading
from skyrig.task.model import Task

MADE = {
    "here": MadeImage("here", "local", {EVERYWHERE: "skyrig:here/0a1b2c3d"}),
    "there": MadeImage("there", "aws", {"us-east-1": "ami-1", "eu-west-1": "ami-2"}, region="us-east-1", arch="arm64"),
    "wide": MadeImage("wide", "gcp", {EVERYWHERE: "projects/p/global/images/wide"}),
}


@pytest.fixture(autouse=True)
def _made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagestacks, "read", lambda name, **_: MADE.get(name))
    monkeypatch.setattr(imagestacks, "all_known", lambda: list(MADE.values()))


def task(image: Any, **resources: str) -> Task:
    fields = "".join(f"  {key}: {value}\n" for key, value in {**resources, "image_id": image}.items())
    return imaging.resolved(reading.loads(f"resources:\n{fields}run: echo\n").only())


def by_region(found: Task) -> dict[str | None, str]:
    assert found.resources.image is not None
    return dict(found.resources.image.by_region)


def test_one_is_found_in_every_region_where_it_is() -> None:
    found = task("skyrig:there", infra="aws/us-west-2")
    assert by_region(found) == {None: "skyrig:there", "us-east-1": "ami-1", "eu-west-1": "ami-2"}
    assert by_region(task("skyrig:wide")) == {None: "projects/p/global/images/wide"}
    assert imaging.resolved(found) == found and found.resources.image is not None
    assert found.resources.image.ours == "there" and found.resources.needs_cloud


@pytest.mark.parametrize(
    ("image", "said"),
    {
        "skyrig:nowhere": "there is no image nowhere (there are: here, there, wide)",
        "skyrig:No": "image_id: skyrig:No: small letters, digits and single '-'",
        "{us-east-1: 'skyrig:there'}": "skyrig:there is found in every region by itself",
        "'docker:skyrig:here'": "there is no container image here",
    }.items(),
)
def test_what_cannot_be_is_one_line(image: str, said: str) -> None:
    with pytest.raises(BadInput) as told:
        task(image)
    assert said in str(told.value) and "\n" not in str(told.value)


def test_other_clouds_are_rejected_with_the_reason() -> None:
    ranking = renting.ranking(task("skyrig:there", instance_type="m7g.xlarge"))
    assert {offer.cloud for offer in ranking.offers} == {"aws"}
    whole = {each.cloud: each.reason for each in ranking.rejected if not each.instance_type}
    assert whole["gcp"] == whole["azure"] == "image there is on the aws cloud"
    everywhere = {each.cloud: each.reason for each in renting.ranking(task("skyrig:wide", cpus="4")).rejected}
    assert everywhere["aws"] == "image wide is on the gcp cloud", "whose id is one for all regions, and no name"


def test_machines_that_it_does_not_boot_on_are_none_to_offer() -> None:
    other = renting.ranking(task("skyrig:there", infra="aws", instance_type="m6i.xlarge"))
    assert not other.offers
    assert {each.reason for each in other.rejected if each.instance_type == "m6i.xlarge"} == {
        "has x86_64 cores: image there is for arm64"
    }


def test_the_region_decides_about_the_id() -> None:
    found = task("skyrig:there", instance_type="m7g.xlarge")
    offer = next(iter(renting.ranking(found).offers))
    assert renting.shape_of(Shape(), offer._replace(region="eu-west-1"), found).machine.image == "ami-2"
    elsewhere = renting.shape_of(Shape(), offer._replace(region="us-west-2"), found)
    assert elsewhere.machine.image == "skyrig:there" and imaging.is_missing(elsewhere)
    counted = imaging.foreseen(elsewhere)
    assert counted.machine.image == "ami-1", "the program that is asked what it would make knows no names"
    assert imaging.foreseen(counted) == counted


def test_it_is_copied_to_a_region_that_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(name: str, region: str, _: Any) -> MadeImage:
        return evolve(MADE[name], ids={**MADE[name].ids, region: f"ami-in-{region}"})

    monkeypatch.setattr(imagestacks, "copy", copy)
    shape = Shape(cloud="aws", machine=Machine(region="us-west-2", image="skyrig:there,docker:x"))
    ready = imaging.ready(shape, lambda line: None)
    assert ready.machine.image == "ami-in-us-west-2,docker:x" and imaging.ready(ready, print) == ready


def test_one_that_its_cloud_does_not_have_is_told_before_nodes_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    class Empty:
        @staticmethod
        def is_there(made: MadeImage, region: str) -> bool:
            asked.append((made.name, region))
            if region == "eu-west-1":
                raise NotUsable("may not look")
            return False

    monkeypatch.setattr(imagestacks, "of_cloud", lambda cloud: Empty if cloud == "aws" else None)
    here = Shape(cloud="aws", machine=Machine(region="us-east-1", image="ami-1,docker:x"))
    with pytest.raises(BadInput, match="image there is not in us-east-1 for the credentials here: ami-1"):
        imaging.refuse_gone(here)
    with pytest.raises(BadInput, match="image there is not in us-east-1"):
        imagestacks.copy("there", "us-west-2", print)
    for image, region in (("ami-2", "eu-west-1"), ("ami-9", "us-east-1"), ("skyrig:there", "us-west-2"), ("", "")):
        imaging.refuse_gone(evolve(here, machine=Machine(region=region, image=image)))
    assert asked == [("there", "us-east-1"), ("there", "us-east-1"), ("there", "eu-west-1")]


def test_local_nodes_begin_with_local_ones_alone() -> None:
    shape = fitting.shape_for(Shape(), task("skyrig:here", infra="local"))
    assert (shape.cloud, shape.machine.image) == ("local", "skyrig:here/0a1b2c3d")
    assert not imaging.is_missing(shape) and not task("skyrig:here").resources.needs_cloud
    with pytest.raises(BadInput, match="image there is on the aws cloud, and these nodes are local"):
        fitting.shape_for(Shape(), task("skyrig:there", infra="local"))


def test_where_one_is_in_words() -> None:
    assert [each.where for each in MADE.values()] == ["this machine", "us-east-1, eu-west-1", "every region"]


def test_a_plan_tells_what_is_saved_of_the_image_that_nodes_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "resources: {any_of: [{image_id: 'skyrig:there'}, {image_id: 'skyrig:wide'}]}\nsetup: make %s\n"
    both = imaging.resolved(reading.loads(text % "").only())
    known = Prepared(7.0, "s", prepared.hashed(setups.parts(both), "s"))
    monkeypatch.setattr(setups, "of_image", lambda name: known if name == "wide" else None)
    [begins] = both.choice.each[1].image.by_region.values()  # type: ignore[union-attr]
    nodes = Shape(cloud="gcp", machine=Machine(image=begins))
    said = setups.saving(both, nodes)
    assert said is not None and (said.name, said.setup, said.seconds) == ("wide", "in the image", 7.0)
    assert setups.saving(both, Shape()) is None, "nodes that are there begin with no image"
    for name in ("SKYPILOT_SETUP_NODE_RANK", "SKYRIG_CLUSTER_INFO"):
        own = setups.saving(imaging.resolved(reading.loads(text % f"${name}").only()), nodes)
        assert own is not None and (own.setup, own.why) == ("differs", f"{name} is another one on each cluster")


GIT = "workdir: {url: 'https://example.org/a', ref: %s}\n"


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [(GIT % "v1", GIT % "v1", True), (GIT % "v1", GIT % "v2", False), ("", GIT % "v1", False)],
)
def test_of_a_repository_its_address_counts(before: str, now: str, same: bool) -> None:
    one, other = (reading.loads(f"{each}setup: make\n").only() for each in (before, now))
    assert (setups.parts(one) == setups.parts(other)) is same


def test_nodes_that_come_later_begin_with_the_same() -> None:
    there = fitting.shape_for(Shape(), task("skyrig:here", infra="local"))
    grown = fitting.shape_for(there, reading.loads("num_nodes: 3\nrun: echo\n").only())
    assert grown.machine.image == there.machine.image
    assert imaging.lacking(task("skyrig:here"), grown, "mine") == ""
    assert imaging.lacking(task("skyrig:here"), Shape(), "mine").startswith("mine did not begin with image here")
    assert imaging.lacking(imaging.without(task("skyrig:here")), Shape(), "mine") == ""


@pytest.mark.parametrize(
    ("said", "why"),
    {
        "echo": None,
        "echo $SKYPILOT_NUM_NODES": "SKYPILOT_NUM_NODES changed",
        "echo $SKYRIG_SETUP_NUM_GPUS_PER_NODE": "SKYRIG_SETUP_NUM_GPUS_PER_NODE changed",
    }.items(),
)
def test_a_setup_that_asks_how_many_there_are_is_another_one(said: str, why: str | None) -> None:
    """As nodes find too, whose keeper looks up the same variables."""
    one, two = (
        reading.loads(f"{more}setup: {said}\n").only()
        for more in ("", "num_nodes: 2\nresources: {accelerators: H100:4}\n")
    )
    known = json.dumps(prepared.hashed(setups.parts(one), ""))
    assert sameness.difference(known, prepared.hashed(setups.parts(two), "")) == why


@pytest.mark.parametrize("name", ["SKYPILOT_SETUP_NODE_RANK", "SKYRIG_SETUP_NODE_IPS", "SKYPILOT_CLUSTER_INFO"])
def test_what_is_of_one_cluster_is_in_no_image(name: str) -> None:
    assert setups.cluster_variable(f"echo ${name}") == name
    assert setups.cluster_variable(f"echo $MY_{name}") is None


@pytest.mark.parametrize(
    ("stack", "said"),
    {
        "mine-builder": "there is a stack mine-builder already, as the builder of image mine would be called",
        "mine-image": "stack mine-image is a cluster's and cannot hold a machine image",
    }.items(),
)
def test_somebody_elses_stack_is_no_builder(
    stack: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be set up, cleaned and destroyed."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    monkeypatch.setattr(stacks, "everything", lambda: [stack])
    wanted = building.Wanted("mine", reading.loads("resources: {infra: local}\nsetup: echo\n").only())
    with pytest.raises(BadInput, match=said):
        building.build(wanted, BytesIO(), print, lambda line: True)
    assert progress.read("mine") is None


def test_a_build_that_was_refused_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    monkeypatch.setattr(stacks, "everything", list)

    def refused(*_: Any, **__: Any) -> int:
        assert progress.unfinished() == ["mine"]
        raise BadInput("no")

    monkeypatch.setattr(verbs, "launch", refused)
    wanted = building.Wanted("mine", reading.loads("resources: {infra: local}\nsetup: echo\n").only())
    with pytest.raises(BadInput, match="no"):
        building.build(wanted, BytesIO(), print, lambda line: True)
    assert progress.unfinished() == []
