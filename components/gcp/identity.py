"""What the nodes of a cluster may do on Google Cloud."""

from typing import TypedDict

import pulumi
from pulumi_gcp.projects.iam_custom_role import IAMCustomRole
from pulumi_gcp.projects.iam_member import IAMMember
from pulumi_gcp.serviceaccount.account import Account
from pulumi_gcp.storage.bucket_iam_member import BucketIAMMember

from skyrig.clouds.gcp.names import role_id

PERMISSIONS = ("compute.instances.delete",)
"""What a node may do to itself. To stop, it shuts down, which asks no right (data/gcp/power.json)."""


class GcpIdentityArgs(TypedDict):
    """What the identity of a cluster's nodes is made from."""

    cluster: str
    """Name of the cluster: machines whose names begin with it may be ended by it."""
    description: str
    """Description of the service account."""
    project: str
    """Project of the machines."""
    zone: str
    """Zone of the machines."""
    ends_itself: bool
    """Whether nodes may end themselves; TPU VMs may not, for that right cannot be narrowed to one."""
    buckets: list[str]
    """Names of the buckets whose objects the nodes read, write and delete."""


class GcpIdentity(pulumi.ComponentResource):
    """A service account of its own for a cluster: it deletes the cluster's own machines, uses the objects of the named
    buckets, and does nothing else."""

    email: pulumi.Output[str]
    """Name of the service account."""

    def __init__(self, name: str, args: GcpIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpIdentity", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = Account(
            f"{name}-account",
            account_id=args["cluster"],
            display_name=f"Nodes of {args['cluster']}",
            description=args["description"][:256],
            opts=child,
        )
        if args["ends_itself"]:
            role = IAMCustomRole(
                f"{name}-role",
                role_id=role_id(args["cluster"]),
                title=f"Ends machines of {args['cluster']}",
                permissions=list(PERMISSIONS),
                opts=child,
            )
            IAMMember(
                f"{name}-ends-itself",
                project=args["project"],
                role=role.name,
                member=account.member,
                condition={
                    "title": "own-machines",
                    "description": f"Machines of {args['cluster']} alone",
                    "expression": own_machines(args["project"], args["zone"], args["cluster"]),
                },
                opts=child,
            )
        for bucket in args["buckets"]:
            BucketIAMMember(
                f"{name}-{bucket}",
                bucket=bucket,
                role="roles/storage.objectUser",
                member=account.member,
                opts=child,
            )
        self.email = account.email
        self.register_outputs({"email": self.email})


def own_machines(project: str, zone: str, cluster: str) -> str:
    """Condition that holds for the machines of a cluster alone."""
    begins = f"projects/{project}/zones/{zone}/instances/{cluster}-"
    return f'resource.type == "compute.googleapis.com/Instance" && resource.name.startsWith("{begins}")'
