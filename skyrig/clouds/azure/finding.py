"""Where a thing is that an engine was making when it was killed: by the name that it was to get, under its tags.

Unlike other providers, azure-native refuses to make what is there already, also what only ties things together: so
everything is looked for. The id that it knows a thing by is the one that Resource Manager answers with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from skyrig.clouds.azure import arm, group
from skyrig.clouds.azure.arm import COMPUTE, NETWORK, RESOURCES, Arm
from skyrig.clouds.azure.leftovers import AUTHORIZATION, GALLERIES, IDENTITY
from skyrig.errors import SkyrigError

STORAGE = "2024-01-01"
"""Version of the API of storage accounts; the one of pulumi-azure-native 3."""

_GROUP = "/subscriptions/{subscription}/resourceGroups/{resourceGroupName}"


@frozen
class _Place:
    """Where things of a type are: a path in the names of the resource's inputs, below its group where it begins with
    none, and the version of the API. By what they are known to be ours: their `tags`, those of the `parent`, or their
    own `name`, which is nobody else's."""

    path: str
    version: str
    by: str = "tags"


_PLACES = {
    "authorization:RoleAssignment": _Place(
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}", AUTHORIZATION, "name"
    ),
    "authorization:RoleDefinition": _Place(
        "{scope}/providers/Microsoft.Authorization/roleDefinitions/{roleDefinitionId}", AUTHORIZATION, "name"
    ),
    "compute:AvailabilitySet": _Place("Microsoft.Compute/availabilitySets/{availabilitySetName}", COMPUTE),
    "compute:Gallery": _Place("Microsoft.Compute/galleries/{galleryName}", GALLERIES),
    "compute:GalleryImage": _Place("Microsoft.Compute/galleries/{galleryName}/images/{galleryImageName}", GALLERIES),
    "compute:GalleryImageVersion": _Place(
        "Microsoft.Compute/galleries/{galleryName}/images/{galleryImageName}/versions/{galleryImageVersionName}",
        GALLERIES,
    ),
    "compute:ProximityPlacementGroup": _Place(
        "Microsoft.Compute/proximityPlacementGroups/{proximityPlacementGroupName}", COMPUTE
    ),
    "compute:VirtualMachine": _Place("Microsoft.Compute/virtualMachines/{vmName}", COMPUTE),
    "compute:VirtualMachineExtension": _Place(
        "Microsoft.Compute/virtualMachines/{vmName}/extensions/{vmExtensionName}", COMPUTE
    ),
    "compute:VirtualMachineScaleSet": _Place("Microsoft.Compute/virtualMachineScaleSets/{vmScaleSetName}", COMPUTE),
    "managedidentity:UserAssignedIdentity": _Place(
        "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}", IDENTITY
    ),
    "network:ApplicationSecurityGroup": _Place(
        "Microsoft.Network/applicationSecurityGroups/{applicationSecurityGroupName}", NETWORK
    ),
    "network:LoadBalancer": _Place("Microsoft.Network/loadBalancers/{loadBalancerName}", NETWORK),
    "network:NatGateway": _Place("Microsoft.Network/natGateways/{natGatewayName}", NETWORK),
    "network:NetworkInterface": _Place("Microsoft.Network/networkInterfaces/{networkInterfaceName}", NETWORK),
    "network:NetworkSecurityGroup": _Place(
        "Microsoft.Network/networkSecurityGroups/{networkSecurityGroupName}", NETWORK
    ),
    "network:PublicIPAddress": _Place("Microsoft.Network/publicIPAddresses/{publicIpAddressName}", NETWORK),
    "network:Subnet": _Place(
        "Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}", NETWORK, "parent"
    ),
    "network:VirtualNetwork": _Place("Microsoft.Network/virtualNetworks/{virtualNetworkName}", NETWORK),
    "resources:ResourceGroup": _Place(_GROUP, RESOURCES),
    "storage:BlobContainer": _Place(
        "Microsoft.Storage/storageAccounts/{accountName}/blobServices/default/containers/{containerName}",
        STORAGE,
        "parent",
    ),
    "storage:ManagementPolicy": _Place(
        "Microsoft.Storage/storageAccounts/{accountName}/managementPolicies/{managementPolicyName}", STORAGE, "parent"
    ),
    "storage:StorageAccount": _Place("Microsoft.Storage/storageAccounts/{accountName}", STORAGE),
}
"""Everything that components/azure makes, by type token without the package."""

TIES = ("azure-native:storage:BlobServiceProperties",)
"""What every storage account has from the start, and making it again takes over."""


def find(kind: str, inputs: Mapping[str, Any], owner: str = "") -> str | None:
    """The id under which the engine knows the thing of type `kind` that was to be made from `inputs`; None where there
    is none that is ours (of a tie: where it is made again). SkyrigError for a type that is not known here."""
    if kind in TIES:
        return None
    place = _PLACES.get(kind.removeprefix("azure-native:"))
    if place is None:
        raise SkyrigError(f"azure: nobody knows how to look for a {kind}")
    where, subscription = arm.usable(owner)
    path = _path(kind, place, {**inputs, "subscription": subscription})
    found = where.get(path, place.version)
    if found is None or _is_going(found) or not _is_ours(where, place, path, found, inputs):
        return None
    return str(found["id"])


def _path(kind: str, place: _Place, names: Mapping[str, Any]) -> str:
    whole = place.path if place.path.startswith(("/", "{")) else f"{_GROUP}/providers/{place.path}"
    try:
        return whole.format_map(names)
    except KeyError as error:
        raise SkyrigError(f"azure: a {kind} without {error.args[0]} was being made, and cannot be looked for") from None


def _is_going(found: Mapping[str, Any]) -> bool:
    return str((found.get("properties") or {}).get("provisioningState", "")).lower() == "deleting"


def _is_ours(where: Arm, place: _Place, path: str, found: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether what has the right name is what was being made."""
    if place.by == "name":
        return True
    if place.by == "parent":
        parent = where.get("/".join(path.split("/")[:9]), place.version)
        return parent is not None and group.STACK in group.tags_of(parent)
    wanted = {str(name).lower(): str(value) for name, value in (inputs.get("tags") or {}).items()}
    if group.STACK not in wanted:
        raise SkyrigError("azure: a thing without tags was being made, and cannot be told from others")
    return wanted.items() <= {name.lower(): value for name, value in group.tags_of(found).items()}.items()
