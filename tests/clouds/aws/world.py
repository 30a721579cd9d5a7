"""AWS on loopback as a world of tests/conformance: the real engine, SDK and Terraform provider, and moto as AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import boto3
from servers import KEYS, moto, plugins
from user import BIN
from worlds import Machine

REGION, KIND = "us-east-1", "g6.xlarge"
ROLE = "arn:aws:iam::111122223333:role/other"
LEFT = {
    "vpcs": "VpcId",
    "subnets": "SubnetId",
    "addresses": "AllocationId",
    "security_groups": "GroupId",
    "launch_templates": "LaunchTemplateId",
    "volumes": "VolumeId",
    "network_interfaces": "NetworkInterfaceId",
}
"""What EC2 lists (describe_...) that a cluster may leave, each with its id."""


class World:
    """An account of its own; machines of it do not answer."""

    lands = False
    answers = False
    moves = False  # the head's address is kept, workers' are private
    accelerators = "L4:1"
    because: Mapping[str, str] = {}
    infra: Sequence[str] = ()
    env: Mapping[str, str] = {}
    other: Mapping[str, str] = {}
    secrets = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.stand_in = ExitStack()

    def __enter__(self) -> Self:
        path = f"{BIN}:{plugins(self.folder / 'plugins')}:{os.environ['PATH']}"
        self.url = self.stand_in.enter_context(moto(self.folder / "moto.log"))
        self.env = KEYS | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": str(self.folder / "no-config"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "BRIDGE_LOG": str(self.folder / "bridge.jsonl"),
            "PATH": path,
        }
        keys = self._client("sts").assume_role(RoleArn=ROLE, RoleSessionName="other")["Credentials"]
        self.other = {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }
        image = self._client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        place = ("--infra", f"aws/{REGION}/{REGION}b", "-t", KIND)
        self.infra = (*place, "--image-id", image, "--disk-tier", "low")  # moto forgets throughput at a launch
        return self

    def __exit__(self, *_: object) -> None:
        self.stand_in.close()

    def machines(self, stack: str) -> Mapping[str, Machine]:
        kept = self._client("ec2").describe_addresses(**_of(stack))["Addresses"]
        elastic = {each.get("NetworkInterfaceId"): each["PublicIp"] for each in kept}
        found = {}
        for each in self._instances(stack):
            tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
            # moto makes an address up at each start, beside the one that is associated and that EC2 keeps
            nic = each["NetworkInterfaces"][0]["NetworkInterfaceId"]
            host = elastic[nic] if tags["skyrig-node"] == "n0" else each["PrivateIpAddress"]
            power = "up" if each["State"]["Name"] == "running" else "stopped"
            found[tags["skyrig-node"]] = Machine(power, host if power == "up" else "", tags=tags)
        return found

    def lose(self, stack: str, node: str) -> None:
        for each in self._instances(stack):
            if {"Key": "skyrig-node", "Value": node} in each["Tags"]:
                self._client("ec2").terminate_instances(InstanceIds=[each["InstanceId"]])

    def end(self, stack: str, node: str) -> None:
        self.lose(stack, node)  # tests/clouds/boot/test_boot_aws_end.py: the program on the node asks for this

    def left(self, stack: str) -> Sequence[str]:
        ec2 = self._client("ec2")
        found = [each["InstanceId"] for each in self._instances(stack)]
        for what, name in LEFT.items():
            listed = getattr(ec2, f"describe_{what}")(**_of(stack))
            key = next(key for key in listed if key.lower() == what.replace("_", ""))
            found += [each[name] for each in listed[key]]
        roles = self._client("iam").list_roles()["Roles"]
        return found + [role["RoleName"] for role in roles if stack in role["RoleName"]]

    def _instances(self, stack: str) -> list[dict[str, Any]]:
        there = self._client("ec2").describe_instances(**_of(stack))["Reservations"]
        gone = ("terminated", "shutting-down")
        return [each for group in there for each in group["Instances"] if each["State"]["Name"] not in gone]

    def _client(self, service: str) -> Any:
        keys = {name.lower(): value for name, value in KEYS.items() if "KEY" in name}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **keys)


def _of(stack: str) -> dict[str, Any]:
    return {"Filters": [{"Name": "tag:skyrig-stack", "Values": [stack]}]}
