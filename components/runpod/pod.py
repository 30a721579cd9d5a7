"""What a cluster on RunPod is made of: one pod, and its power."""

from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import Resource

from components.rented.machine import RentedMachineArgs, RentedMachineProvider
from components.rented.power import RentedPowerArgs, RentedPowerProvider

CLOUD = "runpod"


class RunpodPodProvider(RentedMachineProvider):
    """Pods of RunPod."""

    cloud: ClassVar[str] = CLOUD


class RunpodPowerProvider(RentedPowerProvider):
    """Power of pods of RunPod."""

    cloud: ClassVar[str] = CLOUD


class RunpodPod(Resource, module="skyrig", name="RunpodPod"):
    """One pod. Its id is RunPod's own."""

    def __init__(self, name: str, args: RentedMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["told"])
        props = {**args, "state": None}
        super().__init__(RunpodPodProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


class RunpodPower(Resource, module="skyrig", name="RunpodPower"):
    """The pods of a cluster once they are up."""

    nodes: pulumi.Output[dict[str, Any]]
    """By node id: its pod, state and addresses."""

    def __init__(self, name: str, args: RentedPowerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RunpodPowerProvider(), name, {**args, "nodes": None}, opts)
