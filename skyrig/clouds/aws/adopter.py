"""AWS as a cloud whose clusters can be adopted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds.adopter import Survey
from skyrig.clouds.aws import finding, machines, session, survey, ties
from skyrig.clouds.cloud import TaggedStack


@frozen
class AwsAdopter:
    """AWS, by the credentials that boto3 finds."""

    def survey(self, seen: TaggedStack) -> Survey:
        """What a cluster is, by its machines alone."""
        return survey.survey(seen)

    def identify(self, kind: str, inputs: Mapping[str, Any], seen: TaggedStack) -> str | None:
        """The engine's id of the thing that was made from `inputs`."""
        if kind in finding.TIES:
            return ties.find(kind, inputs, seen.region)
        return finding.find(kind, inputs, seen.region)

    def admit(self, seen: TaggedStack, node_ids: Sequence[str], user: str, public_key: str) -> None:
        """By EC2 Instance Connect, which lets a key in for 60 seconds, where the image has its agent (Ubuntu's do)."""
        connect = session.client("ec2-instance-connect", seen.region)
        for each in machines.of_stack(seen.stack, seen.region):
            if each.node_id in node_ids:
                with session.asking(f"EC2 Instance Connect to {each.node_id}"):
                    connect.send_ssh_public_key(
                        InstanceId=each.machine, InstanceOSUser=user, SSHPublicKey=public_key.strip()
                    )
