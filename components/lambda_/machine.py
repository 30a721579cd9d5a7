"""What a cluster on Lambda is made of: a key, machines, and the power of all of them."""

from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import Resource

from components.rented.key import RentedKeyArgs, RentedKeyProvider
from components.rented.machine import RentedMachineArgs, RentedMachineProvider
from components.rented.power import RentedPowerArgs, RentedPowerProvider

CLOUD = "lambda"


class LambdaKeyProvider(RentedKeyProvider):
    """Keys of Lambda."""

    cloud: ClassVar[str] = CLOUD


class LambdaMachineProvider(RentedMachineProvider):
    """Machines of Lambda."""

    cloud: ClassVar[str] = CLOUD


class LambdaPowerProvider(RentedPowerProvider):
    """Power of machines of Lambda: they are waited for, and never switched."""

    cloud: ClassVar[str] = CLOUD


class LambdaKey(Resource, module="skyrig", name="LambdaKey"):
    """The client's public key in the account: a launch wants the name of one."""

    name: pulumi.Output[str]
    """Its name there."""

    def __init__(self, name: str, args: RentedKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(LambdaKeyProvider(), name, dict(args), opts)


class LambdaMachine(Resource, module="skyrig", name="LambdaMachine"):
    """One machine. Its id is Lambda's own."""

    def __init__(self, name: str, args: RentedMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["told"])
        props = {**args, "state": None}
        super().__init__(LambdaMachineProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


class LambdaPower(Resource, module="skyrig", name="LambdaPower"):
    """The machines of a cluster once they are up."""

    nodes: pulumi.Output[dict[str, Any]]
    """By node id: its machine, state and addresses."""

    def __init__(self, name: str, args: RentedPowerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(LambdaPowerProvider(), name, {**args, "nodes": None}, opts)
