"""What the nodes of a cluster may do on Oracle Cloud."""

from typing import TypedDict

import pulumi
from pulumi_oci.identity.dynamic_group import DynamicGroup
from pulumi_oci.identity.policy import Policy

OWN = ("INSTANCE_INSPECT", "INSTANCE_READ", "INSTANCE_POWER_ACTIONS", "INSTANCE_DELETE")
"""What a node may do to itself, and to no other one."""
DETACH = ("VNIC_READ", "VNIC_DELETE", "VNIC_DETACH", "SUBNET_DETACH")
"""What ending an instance asks besides, of things that no rule can tie to the one who calls."""


class OciIdentityArgs(TypedDict):
    """What the identity of a cluster's nodes is made from."""

    cluster: str
    """Beginning of all names."""
    account: str
    """Compartment of the machines."""
    tenancy: str
    """The tenancy, which dynamic groups belong to."""
    labels: dict[str, str]
    """Free-form tags."""
    machines: list[pulumi.Input[str]]
    """OCIDs of the instances."""
    buckets: list[str]
    """Names of the buckets whose objects the nodes read, write and delete."""


class OciIdentity(pulumi.ComponentResource):
    """A dynamic group of exactly the cluster's instances, and a policy in their compartment: each instance stops and
    ends itself, uses the objects of the named buckets, and does nothing else. Both are written in the tenancy's home
    region, which the provider given by `opts` is of."""

    def __init__(self, name: str, args: OciIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:OciIdentity", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = DynamicGroup(
            f"{name}-group",
            compartment_id=args["tenancy"],
            name=f"{args['cluster']}-nodes",
            description=f"Nodes of {args['cluster']}",
            matching_rule=pulumi.Output.all(*args["machines"]).apply(rule),
            freeform_tags=args["labels"],
            opts=child,
        )
        Policy(
            f"{name}-policy",
            compartment_id=args["account"],
            name=f"{args['cluster']}-nodes",
            description=f"What nodes of {args['cluster']} may do",
            statements=group.id.apply(lambda id_: statements(id_, args["account"], args["buckets"])),
            freeform_tags=args["labels"],
            opts=child,
        )
        self.register_outputs({})


def rule(machines: list[str]) -> str:
    """The rule that matches these instances."""
    return "ANY {" + ", ".join(f"instance.id = '{each}'" for each in machines) + "}"


def statements(group: str, account: str, buckets: list[str]) -> list[str]:
    """What the policy says."""
    where = "tenancy" if account.startswith("ocid1.tenancy.") else f"compartment id {account}"
    who = f"Allow dynamic-group id {group} to"
    own = "request.instance.id = target.instance.id"
    found = [
        f"{who} {{{', '.join(OWN)}}} in {where} where {own}",
        f"{who} {{{', '.join(DETACH)}}} in {where} where request.operation = 'TerminateInstance'",
    ]
    for bucket in buckets:
        named = f"target.bucket.name = '{bucket}'"
        found.append(f"{who} read buckets in {where} where {named}")
        found.append(f"{who} manage objects in {where} where {named}")
    return found
