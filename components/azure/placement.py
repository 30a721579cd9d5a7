"""What holds a cluster's machines together: an availability set, a scale set, or a proximity placement group."""

from typing import TypedDict

import pulumi
from pulumi_azure_native import compute

from components.azure.placing import AVAILABILITY_SET, PROXIMITY, SCALE_SET


class AzurePlacementArgs(TypedDict):
    """What a placement is made from."""

    put: str
    """availability-set, scale-set, proximity or none (components/azure/placing.py)."""
    instance_type: str
    """Type of the machines: a proximity placement group looks for a place that has it."""
    resource_group: pulumi.Input[str]
    """Resource group of the placement and of its machines."""
    region: str
    """Region of the machines."""
    zone: str
    """Zone of the machines; "" is none."""
    tags: dict[str, str]
    """Tags on it."""


class AzurePlacement(pulumi.ComponentResource):
    """One placement, or none.

    `machine` is what it adds to the inputs of a machine: its id by the property that names it.
    """

    machine: dict[str, pulumi.Input[str]]

    def __init__(self, name: str, args: AzurePlacementArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AzurePlacement", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        place = {"resource_group_name": args["resource_group"], "location": args["region"], "tags": args["tags"]}
        zones = [args["zone"]] if args["zone"] else None
        self.machine = {}
        if args["put"] == AVAILABILITY_SET:
            # One domain of each kind: the machines shall be near each other, and are of no use alone.
            together = compute.AvailabilitySet(
                f"{name}-set",
                availability_set_name="fabric",
                platform_fault_domain_count=1,
                platform_update_domain_count=1,
                sku={"name": "Aligned"},
                **place,
                opts=child,
            )
            self.machine["availability_set"] = together.id
        elif args["put"] == SCALE_SET:
            # Machines that are made by themselves go into a set of several placement groups only.
            scale_set = compute.VirtualMachineScaleSet(
                f"{name}-set",
                vm_scale_set_name="fabric",
                orchestration_mode="Flexible",
                platform_fault_domain_count=1,
                single_placement_group=False,
                zones=zones,
                **place,
                opts=child,
            )
            self.machine["virtual_machine_scale_set"] = scale_set.id
        elif args["put"] == PROXIMITY:
            near = compute.ProximityPlacementGroup(
                f"{name}-near",
                proximity_placement_group_name="near",
                proximity_placement_group_type="Standard",
                intent={"vm_sizes": [args["instance_type"]]},
                zones=zones,
                **place,
                opts=child,
            )
            self.machine["proximity_placement_group"] = near.id
        self.register_outputs({})
