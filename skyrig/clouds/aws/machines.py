"""The instances of a stack, as EC2 has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.clouds.aws import session
from skyrig.clouds.cloud import SeenMachine

STACK, OWNER, NODE = "skyrig-stack", "skyrig-owner", "skyrig-node"
"""Tags with the stack, who made it, and the node that a thing belongs to."""

_POWER = {"pending": "up", "running": "up", "stopping": "stopped", "stopped": "stopped"}
"""Power by state; an instance in any other is gone."""


def of_stack(stack: str, region: str) -> list[SeenMachine]:
    """The instances under the stack's tag that are there."""
    return [seen for seen in map(_seen, instances(stack, region)) if seen is not None]


def instances(stack: str, region: str) -> list[dict[str, Any]]:
    """The same as EC2 describes them, those just terminated too."""
    with session.asking("describing instances"):
        pages = (
            session.client("ec2", region)
            .get_paginator("describe_instances")
            .paginate(Filters=[{"Name": "tag:skyrig-stack", "Values": [stack]}])
        )
        return [each for page in pages for group in page["Reservations"] for each in group["Instances"]]


def tags_of(described: Mapping[str, Any]) -> dict[str, str]:
    """Tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", ())}


def _seen(described: Mapping[str, Any]) -> SeenMachine | None:
    power = _POWER.get(described["State"]["Name"])
    if power is None:
        return None
    return SeenMachine(
        node_id=tags_of(described).get("skyrig-node", ""),
        machine=described["InstanceId"],
        power=power,
        public=described.get("PublicIpAddress", ""),
        private=described.get("PrivateIpAddress", ""),
    )
