"""The life of a machine image on AWS: the real engine and SDK, the real Terraform provider, and moto as AWS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import image_world
import pytest
from account import REGION, AwsUser
from image_world import NAME

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # minutes of waiting for AWS
FAR, ACCOUNT = "eu-west-1", "123456789012"


class ImageUser(AwsUser):
    """Somebody who makes images; `stack` is the builder."""

    def call(self, verb: str, /, check: int = 0, **given: Any) -> Any:
        """What a call of the image stacks gives; its words where it is refused."""
        return image_world.call(self, verb, check, **given)

    def ec2(self, region: str) -> Any:
        """EC2 of a region, past Skyrig."""
        return boto3.client(
            "ec2", endpoint_url=self.url, region_name=region, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def images(self, region: str) -> list[dict[str, Any]]:
        """AMIs of ours in a region."""
        wanted = [{"Name": "tag:skyrig-stack", "Values": [f"{NAME}-image"]}]
        return list(self.ec2(region).describe_images(Filters=wanted)["Images"])

    def snapshots(self, region: str) -> list[dict[str, Any]]:
        """Snapshots of ours in a region."""
        wanted = [{"Name": "tag:skyrig-stack", "Values": [f"{NAME}-image"]}]
        return list(self.ec2(region).describe_snapshots(Filters=wanted)["Snapshots"])


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, aws_url: str) -> Iterator[ImageUser]:
    """Somebody whose builder is up."""
    made = ImageUser(tmp_path_factory.mktemp("images"), f"bld{time.monotonic_ns() % 100000}", aws_url)
    words = ["up", "--infra", f"aws/{REGION}/{REGION}b", "-t", "m6i.large", "--nodes", "1", "--image-id", made.image()]
    made.run(*words, "--disk-tier", "low", "-y", timeout=300)
    yield made
    made.run("down", "-y", check=None, timeout=300)


@pytest.fixture(scope="module")
def source(person: ImageUser) -> Any:
    """What an image of the builder is made of, once that is stopped."""
    told = person.call("source", check=2, stack=person.stack, account=ACCOUNT)
    assert "is running: an image is made of a stopped machine" in told
    machine = person.instances()["n0"]["InstanceId"]
    person.ec2(REGION).stop_instances(InstanceIds=[machine])
    found = person.call("source", stack=person.stack, account=ACCOUNT)
    assert found["id"] == machine and ["encrypted", "true"] in found["facts"]
    return found


@pytest.fixture(scope="module")
def made(person: ImageUser, source: Any) -> Any:
    """The image, whose builder is gone by now."""
    found = person.call("make", name=NAME, cloud="aws", region=REGION, account=ACCOUNT, digest="d1", made_of=source)
    person.run("down", "-y", timeout=300)
    return found


def test_an_image_is_there_with_its_tags_and_belongs_to_no_cluster(person: ImageUser, made: Any) -> None:
    [image] = person.images(REGION)
    assert made["ids"] == {REGION: image["ImageId"]} and image["State"] == "available"
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert (tags["skyrig-image"], tags["skyrig-recipe"]) == (NAME, "d1")
    assert len(person.snapshots(REGION)) == 1
    assert person.call("there", name=NAME, cloud="aws", region=REGION) is True
    assert [each["name"] for each in person.json("status")["clusters"]] == [person.stack]
    told = person.run("down", "-c", f"{NAME}-image", "-y", check=None).told()
    assert person.images(REGION) == [image], told


def test_nothing_changes_though_its_builder_is_gone(person: ImageUser, made: Any) -> None:
    assert not person.instances()
    image_world.nothing_changes(person)
    assert person.call("all") == [made]


def test_a_region_that_refuses_a_copy_is_not_asked_again(
    person: ImageUser, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(person.env, "BRIDGE_FAIL", "us-west-2:create:OptInRequired: nobody may")
    told = person.call("copy", check=5, name=NAME, region="us-west-2")
    assert "removing what was made of the copy" in told and "OptInRequired" in told
    image_world.nothing_changes(person)
    assert person.images("us-west-2") == [] and person.call("all") == [made]


def test_a_copy_is_one_more_region_and_changes_nothing_else(person: ImageUser, made: Any) -> None:
    copied = person.call("copy", name=NAME, region=FAR)
    assert copied["ids"][REGION] == made["ids"][REGION]
    [far] = person.images(FAR)
    assert copied["ids"][FAR] == far["ImageId"] and len(person.snapshots(FAR)) == 1
    assert person.call("copy", name=NAME, region=FAR) == copied
    image_world.nothing_changes(person)


def test_an_image_that_a_cluster_uses_stays(person: ImageUser, made: Any) -> None:
    user = f"{person.stack}-user"
    words = ["up", "-c", user, "--infra", f"aws/{REGION}/{REGION}b", "-t", "m6i.large", "--nodes", "1"]
    person.run(*words, "--disk-tier", "low", "--image-id", made["ids"][REGION], "-y", timeout=300)
    try:
        wanted = [{"Name": "tag:skyrig-stack", "Values": [user]}]
        [group] = person.ec2(REGION).describe_instances(Filters=wanted)["Reservations"]
        assert group["Instances"][0]["ImageId"] == made["ids"][REGION]
        told = person.call("delete", check=2, name=NAME)
        assert f"image {NAME} is used by {user} and is not deleted" in told
        assert len(person.images(REGION)) == 1
    finally:
        person.run("down", "-c", user, "-y", timeout=300)


def test_nothing_is_left_of_one_that_is_deleted(person: ImageUser, made: Any) -> None:
    person.call("delete", name=NAME)
    for region in (REGION, FAR):
        assert person.images(region) == [] and person.snapshots(region) == []
    assert person.call("all") == []
    assert f"there is no image {NAME}" in person.call("delete", check=2, name=NAME)
    assert not (person.clone / "stacks" / f"Pulumi.{NAME}-image.yaml").exists()
