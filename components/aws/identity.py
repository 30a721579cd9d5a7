"""What the nodes of a cluster are to AWS: a role that reaches the cluster's buckets and may end its own node."""

import json
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.aws import policy


class AwsIdentityArgs(TypedDict):
    """What an identity is made from."""

    stack: str
    """Stack whose nodes it is for: a node ends itself only if it has this stack's tag."""
    region: str
    """Region of the nodes."""
    account: str
    """Account of the nodes; "" is that of the credentials."""
    buckets: list[pulumi.Input[str]]
    """Names of the buckets that nodes read and write."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class AwsIdentity(pulumi.ComponentResource):
    """Role and instance profile of the nodes of a cluster."""

    profile_name: pulumi.Output[str]
    """Name of the instance profile."""

    def __init__(self, name: str, args: AwsIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AwsIdentity", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        prefix = f"skyrig-{name}"[:37] + "-"  # the provider adds 26 characters, and a role's name has 64 at most
        role = aws.iam.Role(
            f"{name}-role",
            name_prefix=prefix,
            description=f"Nodes of the Skyrig stack {args['stack']}",
            assume_role_policy=json.dumps(policy.assumed_by_instances()),
            tags=args["tags"],
            opts=child,
        )
        document = pulumi.Output.all(*args["buckets"]).apply(
            lambda buckets: json.dumps(policy.of_nodes(args["stack"], args["region"], args["account"], buckets))
        )
        rights = aws.iam.RolePolicy(f"{name}-policy", role=role.name, policy=document, opts=child)
        profile = aws.iam.InstanceProfile(
            f"{name}-profile", name_prefix=prefix, role=rights.role, tags=args["tags"], opts=child
        )
        self.profile_name = profile.name
        self.register_outputs({"profile_name": self.profile_name})
