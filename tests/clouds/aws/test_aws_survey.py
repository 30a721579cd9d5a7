"""What a cluster on AWS was asked for, read off its machines alone: real boto3 against moto, and user data as nodes
get it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from components.aws import boot, policy, template
from components.keypair import new_key_pair
from skyrig import places
from skyrig.catalog import instances
from skyrig.clouds import adopter
from skyrig.clouds.aws import finding, session, survey, userdata
from skyrig.clouds.cloud import Leftover, TaggedStack
from skyrig.cluster import shape as shapes
from skyrig.cluster.machine import Capacity
from skyrig.cluster.shape import WantedNode
from skyrig.errors import BadInput, NotYet
from skyrig.recovery import adopting
from skyrig.stack import ssh_files

REGION, STACK, WHOSE = "us-west-2", "surveyed", "ada@lab"
SEEN = TaggedStack(STACK, "aws", REGION, "123456789012", WHOSE)
TAGS = {"skyrig-stack": STACK, "skyrig-owner": WHOSE, "skyrig-task": "train", "team": "lab"}
CLIENT = "ssh-ed25519 AAAACLIENT skyrig-surveyed"


@pytest.fixture(autouse=True)
def _clients_of_this_test(aws_here: str) -> None:
    session.client.cache_clear()


def specification(kind: str, **more: str) -> list[dict[str, Any]]:
    said = {**TAGS, **{name.replace("_", "-"): value for name, value in more.items()}}
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in said.items()]}]


def startup(node: str, keys: tuple[str, str], container: str = "") -> str:
    said: boot.Startup = {
        "host": f"{STACK}-{node}",
        "fabric": "none",
        "accelerator": "L4",
        "accelerator_count": 1,
        "container": container,
        "ends_at": 0,
    }
    return boot.startup(said, keys[0], keys[1], CLIENT)


def templates(ec2: Any, image: str) -> dict[bool, str]:
    """Templates of the head and of all other nodes, as components/aws/template.py describes them; ids."""
    args = {"stack": STACK, "image_id": image, "instance_type": "g6.xlarge", "network_tier": "standard",
            "capacity": "spot", "each_public": False, "public_subnet_id": "", "private_subnet_id": "",
            "nodes_group_id": "", "head_group_id": "", "profile_name": "", "tags": {},
            "nodes": [{"id": "n1", "group": "main", "version": 1}]}  # fmt: skip
    found = {}
    for head in (False, True):
        said = template.properties(instances.find("aws", "g6.xlarge"), args, head, None)
        found[head] = ec2.create_launch_template(
            LaunchTemplateName=f"{STACK}-{head}",
            VersionDescription=said["description"],
            LaunchTemplateData={
                "ImageId": image, "InstanceType": "g6.xlarge", "InstanceMarketOptions": {"MarketType": "spot"}
            },
            TagSpecifications=specification("launch-template"),
        )["LaunchTemplate"]["LaunchTemplateId"]  # fmt: skip
    return found


def fill(hosts: dict[str, tuple[str, str]]) -> str:
    """A cluster whose head is n1, with a network of its own; the image."""
    ec2, iam = session.client("ec2", REGION), session.client("iam", REGION)
    image = str(ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"])
    vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16", TagSpecifications=specification("vpc"))["Vpc"]["VpcId"]
    zone = f"{REGION}b"
    ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.42.0.0/20", AvailabilityZone=zone, TagSpecifications=specification("subnet")
    )
    head = ec2.create_security_group(
        GroupName="head", Description="x", VpcId=vpc,
        TagSpecifications=specification("security-group", Name=f"{STACK}-aws-firewall-head"),
    )["GroupId"]  # fmt: skip
    ec2.authorize_security_group_ingress(
        GroupId=head,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
             "IpRanges": [{"CidrIp": "203.0.113.7/32", "Description": "SSH"}]},
            {"IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8010,
             "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "open to everyone"}]},
        ],
    )  # fmt: skip
    role = f"skyrig-{STACK}-1"
    iam.create_role(
        RoleName=role, AssumeRolePolicyDocument="{}", Tags=[{"Key": key, "Value": text} for key, text in TAGS.items()]
    )
    rights = policy.of_nodes(STACK, REGION, "123456789012", ["data-1"])
    iam.put_role_policy(RoleName=role, PolicyName="nodes", PolicyDocument=json.dumps(rights))
    made = templates(ec2, image)
    for node, keys in hosts.items():
        ec2.run_instances(
            LaunchTemplate={"LaunchTemplateId": made[node == "n1"]}, MinCount=1, MaxCount=1, ImageId=image,
            InstanceType="g6.xlarge", UserData=base64.b64decode(startup(node, keys)),
            BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 300, "VolumeType": "gp3"}}],
            TagSpecifications=specification("instance", skyrig_node=node, Name=f"{STACK}-{node}"),
        )  # fmt: skip
    return image


def test_the_whole_config_is_read_off_the_machines() -> None:
    hosts = {f"n{number}": new_key_pair() for number in (10, 2, 1)}
    image = fill(hosts)
    found = adopter.of("aws").survey(SEEN)
    shape, machine = found.shape, found.shape.machine
    assert [str(node) for node in shape.nodes] == ["n1", "n2", "n10"]
    assert (shape.owner, shape.task, shape.power, shape.ports) == (WHOSE, "train", "up", ("8000-8010",))
    assert (shape.accelerators.name, shape.accelerators.count) == ("L4", 1)
    assert (machine.instance_type, machine.region, machine.zone) == ("g6.xlarge", REGION, f"{REGION}b")
    assert (machine.capacity, machine.image, machine.disk_gb) == (Capacity("spot"), image, 300)
    assert (machine.ssh_from, machine.labels) == (("203.0.113.7/32",), (("team", "lab"),))
    assert (machine.account, machine.reaches, machine.network) == ("123456789012", ("s3://data-1",), "")
    assert shapes.from_config(shape.to_config()) == shape  # it can stand in a config
    assert {node: (key.private, key.public) for node, key in found.host_keys.items()} == hosts
    assert shape.balancer == ""
    assert found.client_keys == (CLIENT,) and found.notes == ()
    assert set(found.secrets) == set(hosts) and "PRIVATE" not in repr(found)
    same = finding.find("aws:ec2/launchTemplate:LaunchTemplate", wanted("Nodes of a Skyrig cluster"), REGION)
    head = finding.find("aws:ec2/launchTemplate:LaunchTemplate", wanted("The head of a Skyrig cluster"), REGION)
    assert same and head and same != head  # they carry the same tags
    again = session.client("ec2", REGION).run_instances(
        ImageId=image, InstanceType="g6.xlarge", MinCount=1, MaxCount=1,
        TagSpecifications=specification("instance", skyrig_node="n2"),
    )["Instances"][0]["InstanceId"]  # fmt: skip
    with pytest.raises(BadInput, match=f"{again} are both node n2|are both node n2"):
        adopter.of("aws").survey(SEEN)


def wanted(description: str) -> dict[str, Any]:
    return {"tags": dict(TAGS), "description": description}


def test_an_address_of_the_gateway_is_not_taken_for_the_heads() -> None:
    ec2, tags = session.client("ec2", REGION), {"skyrig-stack": "addressed"}
    ids = []
    for more in ({}, {"skyrig-node": "n0"}):
        said = [{"Key": key, "Value": text} for key, text in {**tags, **more}.items()]
        made = ec2.allocate_address(
            Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": said}]
        )["AllocationId"]  # fmt: skip
        ids.append(made)
    assert finding.find("aws:ec2/eip:Eip", {"tags": tags}, REGION) == ids[0]
    assert finding.find("aws:ec2/eip:Eip", {"tags": {**tags, "skyrig-node": "n0"}}, REGION) == ids[1]


def test_no_machine_is_nothing_to_adopt_and_other_clouds_say_what_can_be_done() -> None:
    with pytest.raises(BadInput, match="nobodys has no machine on aws/us-west-2"):
        adopter.of("aws").survey(TaggedStack("nobodys", "aws", REGION))
    for cloud in ("gcp", "azure"):
        with pytest.raises(NotYet, match=f"clusters on {cloud} cannot be adopted yet.*down --by-tag -c NAME"):
            adopter.of(cloud)


def test_user_data_is_read_back_as_it_was_written() -> None:
    private, public = new_key_pair()
    value = startup("n0", (private, public), "nvcr.io/nvidia/pytorch:25.01-py3")
    told = userdata.read(value)
    assert told is not None and told.host_key is not None
    assert (told.host_key.public, told.host_key.private) == (public, private)
    assert (told.client_keys, told.container, told.whole) == ((CLIENT,), "nvcr.io/nvidia/pytorch:25.01-py3", value)
    for other in ("", "!", base64.b64encode(b"#!/bin/sh\n").decode(), base64.b64encode(b"\x1f\x8bx").decode()):
        assert userdata.read(other) is None


@pytest.mark.parametrize(
    ("volume", "tier"),
    [
        ({"VolumeType": "gp3", "Iops": 3000}, "low"),
        ({"VolumeType": "gp3", "Iops": 3500}, "medium"),
        ({"VolumeType": "gp3", "Iops": 9000}, "high"),
        ({"VolumeType": "io2", "Iops": 20000}, "ultra"),
        ({"VolumeType": "st1"}, "medium"),
        ({}, "medium"),
    ],
)
def test_the_tier_of_a_disk_is_the_one_like_it(volume: dict[str, Any], tier: str) -> None:
    assert survey.disk_tier(volume) == tier


def test_what_was_said_before_holds_where_the_machines_do_not_say_otherwise() -> None:
    seen = shapes.from_config({"cloud": "aws", "nodes": ["n0", "n2"], "instanceType": "g6.xlarge", "region": REGION,
                               "zone": "us-west-2b", "image": "ami-12345678", "power": "stopped"})  # fmt: skip
    past = shapes.from_config({"cloud": "aws", "nodes": ["n0", "n1", "n2=gpu/3"], "instanceType": "g6.xlarge",
                               "region": REGION, "zone": "us-west-2b", "task": "train", "starts": 2})  # fmt: skip
    both = adopting.joined(past, seen)
    assert both.nodes == (WantedNode("n0"), WantedNode("n2", "gpu", 3))
    assert (both.power, both.task, both.starts, both.machine.image) == ("stopped", "train", 2, "")
    elsewhere = shapes.from_config({**past.to_config(), "region": "us-east-1"})
    assert adopting.joined(elsewhere, seen) == seen == adopting.joined(None, seen)
    other_head = shapes.from_config({**past.to_config(), "nodes": ["n2=gpu/3", "n0"]})
    assert adopting.joined(other_head, seen).nodes == (WantedNode("n0"), WantedNode("n2", "gpu", 3))


def test_the_clients_key_is_one_that_these_very_machines_know(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    said = adopter.Survey(shapes.from_config({}), client_keys=(CLIENT,))
    seen = TaggedStack(STACK, "aws", REGION, left=(Leftover("instance", "i-1"),))

    def kept(public: str, machine: str) -> str:
        """Which client key is used where that one was kept, of a cluster with that machine."""
        node = {"id": "n0", "rank": 0, "host": "h", "port": 22, "address": "a", "user": "u", "host_key": "k",
                "incarnation": machine}  # fmt: skip
        cluster = {"name": STACK, "cloud": "aws", "nodes": [node], "records": "r", "version": 1,
                   "ssh": {"public_key": public, "private_key": "PRIVATE"}}  # fmt: skip
        ssh_files.replace(places.made(places.stack(STACK)) / "cluster.lost.json", json.dumps({"cluster": cluster}))
        pair = adopting._keys(STACK, seen, said).client
        return pair.public if pair is not None else ""

    assert adopting._keys(STACK, seen, said).client is None
    first = CLIENT.rpartition(" ")[0]
    assert kept(first, "i-0") == first  # they were told of it at their first boot
    assert kept("ssh-ed25519 LATER", "i-1") == "ssh-ed25519 LATER"  # it was let in later on
    assert kept("ssh-ed25519 OTHER", "i-0") == ""  # another cluster of that name
    (places.stack(STACK) / "not-let-in").touch()
    assert kept("ssh-ed25519 LATER", "i-1") == "" and kept(CLIENT, "i-1") == CLIENT
