"""Machine images on Azure: what is asked beside the engine, and what machines of one are."""

from __future__ import annotations

from typing import Any

import pytest
from azure_stack import ACCOUNT, fill, home, machine
from manager import Manager

from components.azure import image, names
from skyrig.catalog import instances
from skyrig.clouds import cloud
from skyrig.clouds.azure import images
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.cluster.imagery import MadeImage
from skyrig.errors import BadInput

GALLERY = "providers/Microsoft.Compute/galleries/skyrig_torch_image"
DEFINITION = f"{home('torch-image')}/{GALLERY}/images/image-12345678"
TAGS = {"skyrig-stack": "torch-image", "skyrig-owner": "ada"}


def builder() -> ClusterDescription:
    """A cluster of one machine."""
    node = Node(id="n0", rank=0, host="h", port=22, address="h", user="u", host_key="k", incarnation="vmid-bld-n0")
    return ClusterDescription("bld", "azure", (node,), SshAccess("k"), "file:///r", region="eastus")


def test_an_image_is_made_of_a_deallocated_machine_which_is_generalized_by_that(manager: Manager) -> None:
    with pytest.raises(BadInput, match="vmid-bld-n0 is not there"):
        images.source(builder(), ACCOUNT)
    fill(manager, "bld", "n0")
    with pytest.raises(BadInput, match="n0-v1 is running: an image is made of a stopped one"):
        images.source(builder(), ACCOUNT)
    manager.switch(machine("bld", "n0"), "deallocated")
    found = images.source(builder(), ACCOUNT)
    assert found.id.lower() == machine("bld", "n0").lower() and found.size_gb == 100
    assert dict(found.facts) == {"arch": "x86_64", "generation": "V2"}
    assert "POST generalize" in manager.asked
    asked = manager.asked.count("POST generalize")
    assert images.source(builder(), ACCOUNT) == found and manager.asked.count("POST generalize") == asked


def test_how_the_builder_was_secured_is_known(manager: Manager) -> None:
    fill(manager, "bld", "n0")
    manager.switch(machine("bld", "n0"), "deallocated")
    trusted = {"securityType": "TrustedLaunch", "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True}}
    manager.things[machine("bld", "n0").lower()]["properties"]["securityProfile"] = trusted
    facts = dict(images.source(builder(), ACCOUNT).facts)
    assert (facts["security"], facts["secure_boot"]) == ("TrustedLaunch", "true")


@pytest.mark.parametrize(
    ("facts", "profile"),
    [
        ({}, {}),
        ({"security": "TrustedLaunch", "secure_boot": "true"}, {"secure_boot_enabled": True, "v_tpm_enabled": True}),
        ({"security": "TrustedLaunch", "secure_boot": "false"}, {"secure_boot_enabled": False, "v_tpm_enabled": True}),
    ],
)
def test_machines_of_an_image_are_secured_as_its_builder_was(facts: dict[str, str], profile: dict[str, bool]) -> None:
    called = names.definition("12345678", facts)
    found = image.find(
        instances.find("azure", "Standard_D4s_v5"), f"{home('x-image')}/{GALLERY}/images/{called}/versions/1.0.0"
    )
    assert found is not None and found.reference["id"].endswith("/versions/1.0.0")
    said = image.security(found)
    assert said.get("uefi_settings", {}) == profile and (said.get("security_type") == "TrustedLaunch") == bool(profile)


def version(state: str) -> dict[str, Any]:
    """A version as Azure tells it."""
    summary = [{"region": "East US", "state": "Completed"}, {"region": "West Europe", "state": state}]
    regions = [{"name": "East US", "regionalReplicaCount": 1}, {"name": "West Europe", "regionalReplicaCount": 1}]
    return {
        "replicationStatus": {"summary": summary},
        "publishingProfile": {"targetRegions": regions},
        "storageProfile": {"osDiskImage": {"sizeInGB": 100}},
    }


def test_it_is_where_its_replicas_are_done(manager: Manager) -> None:
    made = MadeImage(
        "torch",
        "azure",
        dict.fromkeys(("eastus", "westeurope"), f"{DEFINITION}/versions/1.0.0"),
        account=ACCOUNT,
        size_gb=100,
    )
    assert not images.is_there(made, "eastus")
    manager.put(f"{DEFINITION}/versions/1.0.0", tags=TAGS, properties=version("Replicating"))
    assert [images.is_there(made, region) for region in ("eastus", "westeurope", "uksouth")] == [True, False, False]
    assert images.monthly(made) == pytest.approx(10.0)


def test_what_is_left_of_one_is_found_and_goes_from_the_inside_out(manager: Manager) -> None:
    manager.put(home("torch-image"), tags=TAGS)
    for path in (f"{home('torch-image')}/{GALLERY}", DEFINITION, f"{DEFINITION}/versions/1.0.0"):
        manager.put(path, tags=TAGS, properties=version("Completed"))
    azure, inputs = cloud.of("azure", ACCOUNT), {
        "resourceGroupName": "skyrig-torch-image", "galleryName": "skyrig_torch_image",
        "galleryImageName": "image-12345678", "galleryImageVersionName": "1.0.0", "tags": TAGS,
    }  # fmt: skip
    for kind, path in (("Gallery", f"{home('torch-image')}/{GALLERY}"), ("GalleryImage", DEFINITION)):
        assert azure.find(f"azure-native:compute:{kind}", inputs, "eastus") == path
    assert azure.find("azure-native:compute:GalleryImageVersion", inputs, "eastus") == f"{DEFINITION}/versions/1.0.0"
    left = azure.leftovers("torch-image", "eastus")
    assert [each.kind for each in left] == ["image version", "image definition", "gallery", "resource group"]
    assert left[0].hourly == pytest.approx(2 * 100 * 0.05 / 730)
    azure.remove("torch-image", "eastus", left)
    assert azure.leftovers("torch-image", "eastus") == []
