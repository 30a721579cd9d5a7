"""Machine images on AWS beside the engine: real boto3 against moto."""

from __future__ import annotations

from typing import Any

import pytest

from skyrig.clouds import cloud
from skyrig.clouds.aws import images, session
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.cluster.imagery import MadeImage
from skyrig.errors import BadInput

pytestmark = pytest.mark.usefixtures("aws_here")
REGION = "ap-south-1"
TAGS = {"skyrig-stack": "torch-image", "skyrig-image": "torch"}


@pytest.fixture(autouse=True)
def _clients_of_this_test() -> None:
    session.client.cache_clear()


def builder(machine: str) -> ClusterDescription:
    """A cluster of that one machine."""
    node = Node(id="n0", rank=0, host="h", port=22, address="h", user="u", host_key="k", incarnation=machine)
    return ClusterDescription("bld", "aws", (node,), SshAccess("k"), "file:///r", region=REGION)


def instance() -> str:
    """An instance that runs."""
    ec2 = session.client("ec2", REGION)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    disk = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 77, "Encrypted": True}}]
    said = ec2.run_instances(ImageId=image, InstanceType="m6i.large", MinCount=1, MaxCount=1, BlockDeviceMappings=disk)
    return str(said["Instances"][0]["InstanceId"])


def test_an_image_is_made_of_a_stopped_machine_alone() -> None:
    machine = instance()
    with pytest.raises(BadInput, match=f"{machine} is running: an image is made of a stopped machine"):
        images.source(builder(machine), "123456789012")
    session.client("ec2", REGION).stop_instances(InstanceIds=[machine])
    found = images.source(builder(machine), "123456789012")
    assert (found.id, found.size_gb, dict(found.facts)) == (machine, 77, {"arch": "x86_64", "encrypted": "true"})
    with pytest.raises(BadInput, match="is not there"):
        images.source(builder("i-0123456789abcdef0"), "123456789012")


def test_what_a_cut_off_run_has_made_is_found_where_it_is_and_all_of_it_goes() -> None:
    ec2 = session.client("ec2", REGION)
    image = ec2.create_image(InstanceId=instance(), Name="skyrig-torch-1")["ImageId"]
    ec2.create_tags(Resources=[image], Tags=[{"Key": key, "Value": said} for key, said in TAGS.items()])
    [device] = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"]
    aws, wanted = cloud.of("aws"), {"tags": TAGS}
    assert aws.find("aws:ec2/amiFromInstance:AmiFromInstance", wanted, REGION) == image
    assert aws.find("aws:ec2/amiCopy:AmiCopy", {**wanted, "region": REGION}, "us-east-1") == image
    assert aws.find("aws:ec2/amiCopy:AmiCopy", {**wanted, "region": "us-west-1"}, REGION) is None
    assert aws.find("aws:ec2/tag:Tag", {"resourceId": "snap-1"}, REGION) is None
    left = aws.leftovers("torch-image", REGION)
    assert [(each.kind, each.id) for each in left] == [("image", image)]
    aws.remove("torch-image", REGION, left)
    assert aws.leftovers("torch-image", REGION) == []
    mine = ec2.describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": [device["Ebs"]["SnapshotId"]]}])
    assert mine["Snapshots"] == [], "its snapshot had no tag yet, and has gone with it"


def test_a_snapshot_that_was_left_alone_is_named_with_its_price() -> None:
    ec2 = session.client("ec2", REGION)
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=100)["VolumeId"]
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "skyrig-stack", "Value": "alone-image"}]}]
    snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=tags)["SnapshotId"]
    [left] = cloud.of("aws").leftovers("alone-image", REGION)
    assert (left.kind, left.id, left.hourly) == ("snapshot", snapshot, pytest.approx(100 * 0.05 / 730))
    cloud.of("aws").remove("alone-image", REGION, [left])
    assert cloud.of("aws").leftovers("alone-image", REGION) == []


def test_whether_it_is_there_and_what_it_costs() -> None:
    ec2: Any = session.client("ec2", REGION)
    image = ec2.create_image(InstanceId=instance(), Name="skyrig-torch-2")["ImageId"]
    made = MadeImage("torch", "aws", {REGION: image, "us-east-1": "ami-00000000000000001"}, size_gb=100, region=REGION)
    assert (images.is_there(made, REGION), images.is_there(made, "us-east-1")) == (True, False)
    assert not images.is_there(made, "eu-north-1"), "it has no id there"
    assert images.monthly(made) == pytest.approx(2 * 100 * 0.05)
    ec2.deregister_image(ImageId=image)
    assert not images.is_there(made, REGION)
