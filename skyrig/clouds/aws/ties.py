"""Ties between things, by their own ids: an adoption takes in those that would do harm when they are made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.clouds.aws import session


def find(kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
    """The engine's id of a tie; None where it is not there, or where making it again changes nothing.

    To make the power state of an instance again would start one that is stopped, and a second policy of a role would
    stay when the role shall go.
    """
    if kind == "aws:ec2transitgateway/instanceState:InstanceState":
        return str(inputs["instanceId"])
    if kind == "aws:iam/rolePolicy:RolePolicy":
        return _policy(str(inputs["role"]), region)
    if kind == "aws:ec2/eipAssociation:EipAssociation":
        return _association(str(inputs["allocationId"]), region)
    return None


def _policy(role: str, region: str) -> str | None:
    with session.asking(f"policies of {role}"):
        names = session.client("iam", region).list_role_policies(RoleName=role)["PolicyNames"]
    return f"{role}:{names[0]}" if len(names) == 1 else None


def _association(allocation: str, region: str) -> str | None:
    with session.asking(f"what {allocation} is with"):
        found = session.client("ec2", region).describe_addresses(AllocationIds=[allocation])["Addresses"]
    return found[0].get("AssociationId") if found else None
