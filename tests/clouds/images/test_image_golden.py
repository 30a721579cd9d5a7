"""What image stacks register on each cloud, against golden files, and what they export. SKYRIG_UPDATE_GOLDEN=1 writes
the files anew, for review."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pulumi
import pytest
from registrations import Registration, golden, record

from components.image import Image, ImageArgs
from skyrig.cluster.imagery import WantedImage, from_json

GOLDEN = Path(__file__).parent / "golden"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
MACHINE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/skyrig-bld/providers/Microsoft.Compute/virtualMachines/n0-v1"
WANTED = {
    "aws": WantedImage(
        "torch", "aws", "us-east-1", "i-0123456789abcdef0", "d1", ("eu-west-1",), "123456789012",
        size_gb=256, facts=(("arch", "x86_64"), ("encrypted", "true")),
    ),
    "gcp": WantedImage(
        "torch", "gcp", "us-central1", "projects/lab/zones/us-central1-a/disks/bld-n0", "d1", ("europe-west4",), "lab",
        size_gb=256, facts=(("arch", "x86_64"),),
    ),
    "azure": WantedImage(
        "torch", "azure", "eastus", MACHINE, "d1", ("westeurope",), SUBSCRIPTION, size_gb=256,
        facts=(("arch", "x86_64"), ("generation", "V2"), ("secure_boot", "true"), ("security", "TrustedLaunch")),
    ),
}  # fmt: skip
OUTPUTS = {
    "aws:ec2/amiFromInstance:AmiFromInstance": {"rootSnapshotId": "snap-{name}"},
    "aws:ec2/amiCopy:AmiCopy": {"rootSnapshotId": "snap-{name}"},
    "azure-native:resources:ResourceGroup": {"name": "skyrig-torch-image"},
}


def args(wanted: WantedImage) -> ImageArgs:
    """What the program makes the component from."""
    tags = {"skyrig-stack": "torch-image", "skyrig-owner": "ada", "skyrig-image": "torch", "skyrig-recipe": "d1"}
    plain: dict[str, Any] = attrs.asdict(wanted, recurse=False)
    more = {"stack": "torch-image", "mark": wanted.mark, "tags": tags, "regions": list(wanted.regions)}
    return {**plain, **more, "facts": dict(wanted.facts), "made_at": 1000.0}  # type: ignore[return-value]


def made(wanted: WantedImage) -> tuple[list[Registration], Any]:
    """What is registered for an image, and what is exported."""
    return record(lambda: Image("torch-image", args(wanted)).description, outputs=OUTPUTS)


@pytest.mark.parametrize("cloud", WANTED)
def test_golden(cloud: str) -> None:
    registered, exported = made(WANTED[cloud])
    text, file = golden(registered), GOLDEN / f"{cloud}.json"
    if os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()
    said = from_json(exported)
    assert (said.name, said.cloud, said.region, said.digest, said.size_gb) == (
        "torch", cloud, WANTED[cloud].region, "d1", 256
    )  # fmt: skip
    for region in (WANTED[cloud].region, *WANTED[cloud].regions):
        assert said.id_in(region)
    assert said.id_in("elsewhere") == (said.ids.get("*"))


@pytest.mark.parametrize("cloud", WANTED)
def test_a_region_more_leaves_what_is_there_as_it_is(cloud: str) -> None:
    one, _ = made(attrs.evolve(WANTED[cloud], regions=()))
    two, _ = made(WANTED[cloud])
    changed = [each.name for each in one if each not in two]
    assert changed == ([f"torch-image-azure-{WANTED[cloud].mark}"] if cloud == "azure" else [])


@pytest.mark.parametrize("cloud", WANTED)
def test_an_image_of_another_source_is_another_thing_under_another_name(cloud: str) -> None:
    other = attrs.evolve(WANTED[cloud], source=WANTED[cloud].source[:-1] + "9")
    before, after = ({each.name: each for each in made(wanted)[0]} for wanted in (WANTED[cloud], other))
    images = [name for name in before if name not in after]
    assert images and all(WANTED[cloud].mark in name for name in images)
    names = [
        each.inputs.get("name") or each.inputs.get("galleryImageName")
        for each in (*before.values(), *after.values())
        if "mage" in each.type.rpartition(":")[2] or each.type.endswith(("AmiFromInstance", "AmiCopy"))
    ]
    assert all(names.count(name) <= 2 for name in names if name), "a name is taken while the earlier image is there"


def test_what_is_made_nowhere_is_refused() -> None:
    with pytest.raises(pulumi.InputPropertiesError, match="no machine images are made on lambda"):
        made(attrs.evolve(WANTED["aws"], cloud="lambda"))
