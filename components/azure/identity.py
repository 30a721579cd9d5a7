"""The identity of a cluster's machines: what they may do to Azure."""

from typing import TypedDict

import pulumi
from pulumi_azure_native import authorization, managedidentity

from skyrig.catalog import facts
from skyrig.clouds.azure import names

BLOBS = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
"""Azure's own role Storage Blob Data Contributor."""


class AzureIdentityArgs(TypedDict):
    """What the identity of machines is made from."""

    stack: str
    """Name of the cluster; part of the role's name."""
    account: str
    """Subscription that all of it is in."""
    region: str
    """Region of the identity."""
    resource_group: pulumi.Input[str]
    """Name of the cluster's resource group."""
    scope: pulumi.Input[str]
    """Id of that resource group: the rights hold for what is in there, and for nothing else."""
    containers: list[str]
    """Ids of the blob containers that machines may read and write."""
    tags: dict[str, str]
    """Tags on the identity; roles and assignments take none."""


class AzureIdentity(pulumi.ComponentResource):
    """A user-assigned managed identity that may stop and end its cluster's own machines, and use its buckets."""

    id: pulumi.Output[str]
    """Resource id of the identity, for machines."""

    principal: pulumi.Output[str]
    """Id of its service principal, for further assignments."""

    def __init__(self, name: str, args: AzureIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AzureIdentity", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        account, stack = args["account"], args["stack"]
        identity = managedidentity.UserAssignedIdentity(
            f"{name}-identity",
            resource_name_="nodes",
            resource_group_name=args["resource_group"],
            location=args["region"],
            tags=args["tags"],
            opts=child,
        )
        role_guid = names.role(account, stack)
        role = authorization.RoleDefinition(
            f"{name}-role",
            role_definition_id=role_guid,
            role_name=f"skyrig {stack} {role_guid[:8]}",  # names of roles are one space in a tenant
            description="Nodes of a Skyrig cluster stop and end themselves",
            role_type="CustomRole",
            scope=args["scope"],
            assignable_scopes=[args["scope"]],
            permissions=[{"actions": actions(), "not_actions": [], "data_actions": [], "not_data_actions": []}],
            opts=child,
        )
        self.id, self.principal = identity.id, identity.principal_id
        self._assign(f"{name}-power", names.assignment(account, stack), role.id, args["scope"], child)
        blobs = f"/subscriptions/{account}/providers/Microsoft.Authorization/roleDefinitions/{BLOBS}"
        for container in args["containers"]:
            called = f"{name}-{container.rpartition('/')[2]}"
            self._assign(called, names.guid(account, stack, container), blobs, container, child)
        self.register_outputs({"id": self.id, "principal": self.principal})

    def _assign(
        self,
        name: str,
        guid: str,
        role: pulumi.Input[str],
        scope: pulumi.Input[str],
        child: pulumi.ResourceOptions,
    ) -> None:
        authorization.RoleAssignment(
            name,
            role_assignment_name=guid,
            principal_id=self.principal,
            principal_type="ServicePrincipal",  # the directory may not know the new principal yet
            role_definition_id=role,
            scope=scope,
            opts=child,
        )


def actions() -> list[str]:
    """Everything that a machine may do to resources (data/azure/power.json says why)."""
    return list(facts.of("azure", "power")["identity"])
