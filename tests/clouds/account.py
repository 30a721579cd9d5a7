"""Somebody with an account on a cloud that is on loopback: what a user has, and a look past Skyrig at what is there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import boto3
from servers import KEYS, plugins
from user import BIN, User

REGION = "us-east-1"


class AwsUser(User):
    """A user whose AWS is moto at `url`."""

    def __init__(self, folder: Path, stack: str, url: str) -> None:
        super().__init__(folder, stack)
        self.url = url
        self.env |= KEYS | {
            "AWS_ENDPOINT_URL": url,
            "AWS_CONFIG_FILE": str(folder / "no-config"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "BRIDGE_LOG": str(folder / "bridge.jsonl"),
            "PATH": f"{BIN}:{plugins(folder / 'plugins')}:{os.environ['PATH']}",
        }

    @property
    def mine(self) -> dict[str, Any]:
        """The filter of EC2's calls that finds what is the stack's."""
        return {"Filters": [{"Name": "tag:skyrig-stack", "Values": [self.stack]}]}

    def client(self, service: str) -> Any:
        """A client of AWS, past Skyrig."""
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def image(self) -> str:
        """An image that this AWS has."""
        return str(self.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"])

    def instances(self) -> dict[str, dict[str, Any]]:
        """Instances of the stack that are there, by node id."""
        found = self.client("ec2").describe_instances(**self.mine)
        there = [each for group in found["Reservations"] for each in group["Instances"]]
        return {
            next(tag["Value"] for tag in each["Tags"] if tag["Key"] == "skyrig-node"): each
            for each in there
            if each["State"]["Name"] not in ("terminated", "shutting-down")
        }

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """A plain engine command in the clone."""
        command = [str(BIN / "pulumi"), *words, "-s", self.stack, "--non-interactive"]
        return subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, timeout=300, check=False)
