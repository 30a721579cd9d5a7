"""A cluster on Atlantis."""

from typing import Any

import pulumi
from components.atlantis.machine import AtlantisMachine

from components.describe import SaidNode, describe
from components.wanted import CloudArgs
from skyrig import places


class AtlantisCloud(pulumi.ComponentResource):
    """The machines of one stack; there is no network to make."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AtlantisCloud", name, {}, opts)
        made = {
            node["id"]: AtlantisMachine(
                f"{name}-{node['group']}-{node['id']}",
                {
                    "stack": args["stack"],
                    "node_id": node["id"],
                    "version": node["version"],
                    "instance_type": args["machine"]["instance_type"],
                    "authorized_key": args["public_key"],
                },
                pulumi.ResourceOptions(parent=self),
            )
            for node in args["nodes"]
        }
        said = pulumi.Output.all(**{node: each.machine for node, each in made.items()}).apply(
            lambda known: [_said(node, known[node]) for node in made]
        )
        records = places.records(args["stack"]).as_uri()
        self.description = pulumi.Output.all(said, args["public_key"]).apply(
            lambda known: describe("atlantis", args, known[0], known[1], records)
        )
        self.register_outputs({"description": self.description})


def _said(node: str, machine: dict[str, Any]) -> SaidNode:
    return {
        "id": node,
        "machine": machine["incarnation"],
        "boot": "",
        "public": machine["host"],
        "private": machine["address"],
        "host_key": machine["host_key"],
        "power": "up",
        "user": machine["user"],
        "port": int(machine["port"]),
        "internal_port": int(machine["internal_port"]),
    }
