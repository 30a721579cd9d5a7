"""What a cluster on Fluidstack is made of: machines, and the power of all of them."""

from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import Resource

from components.rented.machine import RentedMachineArgs, RentedMachineProvider
from components.rented.power import RentedPowerArgs, RentedPowerProvider

CLOUD = "fluidstack"


class FluidstackMachineProvider(RentedMachineProvider):
    """Machines of Fluidstack."""

    cloud: ClassVar[str] = CLOUD


class FluidstackPowerProvider(RentedPowerProvider):
    """Power of machines of Fluidstack."""

    cloud: ClassVar[str] = CLOUD


class FluidstackMachine(Resource, module="skyrig", name="FluidstackMachine"):
    """One machine. Its id is Fluidstack's own."""

    def __init__(self, name: str, args: RentedMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["told"])
        props = {**args, "state": None}
        super().__init__(FluidstackMachineProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


class FluidstackPower(Resource, module="skyrig", name="FluidstackPower"):
    """The machines of a cluster once they are up."""

    nodes: pulumi.Output[dict[str, Any]]
    """By node id: its machine, state and addresses."""

    def __init__(self, name: str, args: RentedPowerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(FluidstackPowerProvider(), name, {**args, "nodes": None}, opts)
