"""Image stacks as values, in configs, and as a kind of their own; who uses an image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve

from skyrig.cluster import imagery
from skyrig.cluster import shape as shapes
from skyrig.cluster.buckets import Bucket
from skyrig.cluster.clouds import CLOUDS
from skyrig.cluster.imagery import BadImage, MadeImage, WantedImage
from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError
from skyrig.stack import backend, config, imagestacks, kinds, stacks

WANTED = WantedImage(
    "torch", "aws", "us-east-1", "i-0123456789abcdef0", "d1", ("eu-west-1",), "123456789012", (("team", "ml"),),
    size_gb=256, facts=(("arch", "x86_64"), ("encrypted", "true")), made_at=1000.0,
)  # fmt: skip
MADE = MadeImage("torch", "aws", {"us-east-1": "ami-1", "eu-west-1": "ami-2"}, "d1", 1000.0, 256, "us-east-1")


def test_what_is_wanted_survives_the_config_of_its_stack(project_folder: Path) -> None:
    shape = shapes.of_image(WANTED, "ada")
    assert config.write_shape("torch-image", shape)
    assert config.read_shape("torch-image") == shape and shape.imaged == WANTED
    assert (shape.is_image, shape.is_data, shape.is_rented, shape.is_offered) == (True, False, False, False)
    text = (project_folder / "stacks" / "Pulumi.torch-image.yaml").read_text()
    assert "skyrig:region: us-east-1" in text and "skyrig:nodes: []" in text and text.count("us-east-1") == 1
    assert str(shape) == "the machine image torch on aws"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"nodes": ["n0"]}, "an image is alone in its stack"),
        ({"buckets": [{"name": "my-data"}]}, "an image is alone in its stack"),
        ({"machineImage": "{"}, "no JSON"),
        ({"machineImage": '{"name": "torch"}'}, "source is wanted"),
        ({"machineImage": '{"name": "torch", "source": "i", "digest": "d", "size": 1}'}, "'size' is not known"),
        ({"machineImage": '{"name": "A B", "source": "i", "digest": "d"}'}, "is no name of an image"),
        ({"machineImage": '{"name": "torch", "source": "i", "digest": "d", "size_gb": "x"}'}, "are numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(more: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        shapes.from_config({"cloud": "aws", "nodes": [], "machineImage": WANTED.to_config(), **more})


def test_the_mark_is_of_what_an_image_is_made_of_and_of_nothing_else() -> None:
    same = evolve(WANTED, regions=(), labels=(), made_at=2.0, name="other")
    assert same.mark == WANTED.mark
    assert len({WANTED.mark, evolve(WANTED, source="i-1").mark, evolve(WANTED, digest="d2").mark}) == 3


def test_an_id_is_that_of_a_region_or_of_all() -> None:
    assert (MADE.id_in("eu-west-1"), MADE.id_in("eu-west-2")) == ("ami-2", None)
    assert evolve(MADE, ids={"*": "link"}).id_in("anywhere") == "link"
    assert imagery.from_json(json.loads(json.dumps(MADE.to_json()))) == MADE
    with pytest.raises(BadImage, match="version 9"):
        imagery.from_json({**MADE.to_json(), "version": 9})
    with pytest.raises(BadImage, match="makes no sense"):
        imagery.from_json({"version": 1, "name": "x"})


def test_a_region_that_another_run_has_added_meanwhile_stays() -> None:
    before = shapes.of_image(WANTED)
    ours = evolve(before, imaged=WANTED.with_regions("us-west-2"))
    theirs = evolve(before, imaged=WANTED.with_regions("ap-south-1"))
    both = stacks.joined(ours, theirs, before).imaged
    assert both is not None and both.regions == ("eu-west-1", "us-west-2", "ap-south-1")
    anew = evolve(before, imaged=evolve(WANTED, source="i-9", regions=()))
    other = stacks.joined(anew, theirs, before).imaged
    assert other is not None and other.regions == (), "of another image nothing is taken over"


def test_a_stack_is_of_one_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    monkeypatch.setattr(backend, "state_file", lambda stack: state)
    for kind in kinds.KINDS:
        state.write_text(json.dumps({"resources": [{"type": kind.component}]}))
        assert kinds.of("any") is kind
    assert kinds.of_shape(shapes.of_image(WANTED)) is kinds.IMAGE
    assert kinds.of_shape(Shape(nodes=(), buckets=(Bucket("my-data"),))) is kinds.DATA
    assert kinds.of_shape(Shape()) is kinds.CLUSTER
    monkeypatch.setattr(stacks, "is_there", lambda stack: True)
    state.write_text(json.dumps({"resources": [{"type": kinds.IMAGE.component}]}))
    with pytest.raises(BadInput, match="torch-image holds a machine image and is no cluster"):
        stacks.down("torch-image", print)
    with pytest.raises(BadInput, match="torch-image holds a machine image and is no cluster"):
        stacks.up("torch-image", Shape(), print)
    state.write_text(json.dumps({"resources": [{"type": kinds.CLUSTER.component}]}))
    with pytest.raises(BadInput, match="is a cluster's and cannot hold a machine image"):
        stacks.up("torch-image", shapes.of_image(WANTED), print)


def clusters(monkeypatch: pytest.MonkeyPatch, there: dict[str, Shape]) -> None:
    """Clusters that were deployed in these shapes."""
    monkeypatch.setattr(stacks, "known", lambda: sorted(there))
    monkeypatch.setattr(backend, "has_anything", lambda stack: True)
    monkeypatch.setattr(imagestacks.deployed, "last", lambda stack: there[stack])
    monkeypatch.setattr(imagestacks, "read", lambda name: MADE)


def test_clusters_that_are_down_use_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(image: str, power: str = "up") -> Shape:
        return Shape(cloud="aws", power=power, machine=Machine(image=image))

    clusters(
        monkeypatch,
        {
            "a": of("ami-2"), "b": of("ami-3"), "c": of("ami-1", "stopped"), "d": of("ami-1", "down"),
            "e": of("skyrig:torch"), "f": of("ami-1,docker:x"),
        },
    )  # fmt: skip
    assert imagestacks.used_by("torch") == ["a", "c", "e", "f"]


def test_an_image_in_use_is_neither_replaced_nor_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters(monkeypatch, {"a": Shape(cloud="aws", machine=Machine(image="ami-1"))})
    monkeypatch.setattr(stacks, "is_there", lambda stack: True)
    monkeypatch.setattr(stacks, "settled", lambda stack, notify: shapes.of_image(WANTED))
    monkeypatch.setattr(kinds, "of", lambda stack: kinds.IMAGE)
    with pytest.raises(BadInput, match="image torch is used by a and is not deleted"):
        imagestacks.delete("torch", print)
    with pytest.raises(BadInput, match="image torch is used by a and is not replaced"):
        imagestacks.make(evolve(WANTED, digest="d2"), print)
    with pytest.raises(BadInput, match="image torch is used by a and is not deleted"):
        imagestacks.refuse_end("torch-image")
    imagestacks.refuse_end("torch")
    with pytest.raises(BadInput, match="no machine images are made on lambda"):
        imagestacks.make(evolve(WANTED, cloud="lambda"), print)


def test_a_region_that_refuses_a_copy_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no other copy could be made: each run would ask that region too, and fail."""
    config_, made = [shapes.of_image(evolve(WANTED, regions=("eu-west-1", "cut-off-1")))], [MADE]

    def up(stack: str, shape: Shape, notify: object, *, before: Shape, refresh: bool) -> None:
        config_[0] = stacks.joined(shape, config_[0], before)
        regions = config_[0].imaged.regions  # type: ignore[union-attr]
        if "mars-1" in regions:
            config_[0] = evolve(config_[0], imaged=config_[0].imaged.with_regions("theirs-1"))  # type: ignore[union-attr]
            made[0] = evolve(MADE, ids={**MADE.ids, "theirs-1": "ami-3"})  # another process, once this one was done
            raise EngineError("mars-1 takes no images")

    monkeypatch.setattr(imagestacks, "of_cloud", lambda cloud: None)
    monkeypatch.setattr(stacks, "settled", lambda stack, notify: config_[0])
    monkeypatch.setattr(stacks, "up", up)
    monkeypatch.setattr(imagestacks, "read", lambda name: made[0])
    with pytest.raises(EngineError, match="mars-1 takes no images"):
        imagestacks.copy("torch", "mars-1", print)
    assert config_[0].imaged == evolve(WANTED, regions=("eu-west-1", "theirs-1"))


def test_three_clouds_and_this_machine_make_images() -> None:
    assert [name for name in CLOUDS if imagestacks.makes(name)] == ["local", "aws", "gcp", "azure"]
    assert [name for name in CLOUDS if imagestacks.of_cloud(name)] == ["aws", "gcp", "azure"]
