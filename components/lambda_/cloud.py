"""A cluster on Lambda: a key and machines, each with a public address."""

from typing import Any

import pulumi

from components.describe import USER, describe
from components.lambda_.machine import CLOUD, LambdaKey, LambdaMachine, LambdaPower
from components.refuse import refuse
from components.rented import nodes
from components.rented.wrong import wrong
from components.wanted import CloudArgs
from skyrig import places

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
        power = LambdaPower(
            f"{name}-power",
            {
                "account": account,
                "ids": pulumi.Output.all(**{node: made.id for node, made in machines.items()}),
                "power": args["power"],
                "starts": args["starts"],
            },
            child,
        )
        public = pulumi.Output.all(**{node: host.public_key for node, host in hosts.items()})
        self.description = pulumi.Output.all(args["public_key"], power.nodes, public).apply(
            lambda known: describe(
                CLOUD,
                args,
                [nodes.said(each, known[1][each["id"]], known[2][each["id"]], USER) for each in args["nodes"]],
                known[0],
                places.records(args["stack"]).as_uri(),
            )
        )
        self.register_outputs({"description": self.description})
