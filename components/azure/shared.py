"""What all nodes of a cluster on Azure share."""

from typing import TypedDict

import pulumi


class AzureSharedArgs(TypedDict):
    """What nodes are put into: ids of what other components made, or of what is there already."""

    resource_group: pulumi.Input[str]
    """Name of the resource group of the machines."""
    subnet: pulumi.Input[str]
    """Id of the subnet of their interfaces."""
    security_group: pulumi.Input[str]
    """Id of the network security group of their interfaces."""
    nodes_group: pulumi.Input[str]
    """Id of the application security group of all nodes."""
    head_group: pulumi.Input[str]
    """Id of the application security group of the head."""
    identity: pulumi.Input[str]
    """Id of the user-assigned identity of the machines."""
    placement: dict[str, pulumi.Input[str]]
    """Id of what holds the machines together, by the machine's property that names it: availability_set,
    virtual_machine_scale_set or proximity_placement_group. Empty for none."""
    pool: pulumi.Input[str] | None
    """Id of the balancer's pool that the head's interface is in; None where there is no balancer."""
    public_key: pulumi.Input[str]
    """Public key that may log in from the start."""
