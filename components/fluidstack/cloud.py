"""A cluster on Fluidstack: machines in one region of a project."""

from typing import Any

import pulumi

from components.describe import USER
from components.fluidstack.machine import CLOUD, FluidstackMachine, FluidstackPower
from components.refuse import refuse
from components.rented import nodes
from components.rented.wrong import wrong
from components.wanted import CloudArgs

NO_PORTS = "Fluidstack's API has no firewall: what is reached from where is as it was agreed on for the project"


class FluidstackCloud(pulumi.ComponentResource):
    """Machines of one stack in one region of a project."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("FluidstackCloud", wrong(args, ports=NO_PORTS))
        super().__init__("skyrig:index:FluidstackCloud", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        hosts = {each["id"]: nodes.host_key(name, args, each, child) for each in args["nodes"]}
        machines = {
            each["id"]: FluidstackMachine(
                f"{name}-{each['id']}-v{each['version']}",
                nodes.machine_args(args, each, hosts[each["id"]], nodes.user_data(args, each, hosts[each["id"]]), ""),
                child,
            )
            for each in args["nodes"]
        }
        power = FluidstackPower(f"{name}-power", nodes.power_args(args, machines), child)
        self.description = nodes.described(CLOUD, args, hosts, power.nodes, USER)
        self.register_outputs({"description": self.description})
