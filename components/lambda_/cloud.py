"""A cluster on Lambda: a key and machines, each with a public address."""

from typing import Any

import pulumi

from components.describe import USER
from components.lambda_.machine import CLOUD, LambdaKey, LambdaMachine, LambdaPower
from components.refuse import refuse
from components.rented import nodes
from components.rented.wrong import wrong
from components.wanted import CloudArgs

NO_PORTS = "Lambda's firewall is the account's, for all its machines: open them there (cloud.lambda.ai/firewall)"


class LambdaCloud(pulumi.ComponentResource):
    """Machines of one stack in one region of an account."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("LambdaCloud", wrong(args, ports=NO_PORTS))
        super().__init__("skyrig:index:LambdaCloud", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        account, called = args["machine"]["account"], nodes.cluster_name(args)
        key = LambdaKey(f"{name}-key", {"account": account, "name": called, "public_key": args["public_key"]}, child)
        hosts = {each["id"]: nodes.host_key(name, args, each, child) for each in args["nodes"]}
        machines = {
            each["id"]: LambdaMachine(
                f"{name}-{each['id']}-v{each['version']}",
                nodes.machine_args(
                    args, each, hosts[each["id"]], nodes.user_data(args, each, hosts[each["id"]]), key.name
                ),
                child,
            )
            for each in args["nodes"]
        }
        power = LambdaPower(f"{name}-power", nodes.power_args(args, machines), child)
        self.description = nodes.described(CLOUD, args, hosts, power.nodes, USER)
        self.register_outputs({"description": self.description})
