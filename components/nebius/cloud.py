"""A cluster on Nebius AI Cloud: its network and nodes."""

from typing import Any

import pulumi
import pulumi_nebius as nebius

from components.describe import SaidNode, describe
from components.nebius import fabric
from components.nebius.machines import NebiusMachines
from components.nebius.network import NebiusNetwork
from components.nebius.wrong import wrong
from components.refuse import refuse
from components.tags import tags
from components.wanted import CloudArgs
from skyrig import places
from skyrig.catalog import egress
from skyrig.clouds.nebius import session, switching
from skyrig.clouds.nebius.names import cluster_name, labels

CLOUD = "nebius"
_PASSED_ON = ("instance_type", "capacity", "network_tier", "image", "disk_gb", "disk_tier")


class NebiusCloud(pulumi.ComponentResource):
    """Network and nodes of one stack in one project, which is in one region. All that is made names that project: no
    other one is ever read or changed."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("NebiusCloud", wrong(args))
        super().__init__("skyrig:index:NebiusCloud", name, {}, opts)
        machine = args["machine"]
        way = machine["egress"] or egress.default(len(args["nodes"]))
        provider = nebius.Provider(
            f"{name}-provider",
            parent_id=machine["account"],
            **(session.authentication() or {}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        child = pulumi.ResourceOptions(parent=self, providers=[provider])
        shared: Any = {
            "cluster": cluster_name(args["stack"]),
            "project": machine["account"],
            "labels": labels(tags(args)),
        }
        reached: Any = {
            **shared,
            "adopt": machine["network"],
            "ssh_from": machine["ssh_from"],
            "ports": args["ports"],
            "closed": way == "none",
        }
        network = NebiusNetwork(f"{name}-network", reached, child)
        group = {
            **shared,
            **{key: dict(machine)[key] for key in _PASSED_ON},
            "subnet": network.subnet,
            "nodes_group": network.nodes,
            "head_group": network.head,
            "authorized_key": args["public_key"],
            "public": way == "public-outbound",
        }
        made = NebiusMachines(
            f"{name}-machines",
            {
                "nodes": args["nodes"],
                "power": args["power"],
                "starts": args["starts"],
                "fabric": fabric.wanted(machine),
                "group": group,
            },
            pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[network])),
        )
        records = places.records(args["stack"]).as_uri()
        self.description = pulumi.Output.all(args["public_key"], *made.said).apply(
            lambda known: describe(CLOUD, args, [_said(each) for each in known[1:]], known[0], records)
        )
        self.register_outputs({"description": self.description})


def _said(known: dict[str, Any]) -> SaidNode:
    """What is known of a node, as the description wants it. Workers are reached through the head, also where they have
    public addresses: nothing is let in there."""
    power = known["power"]
    return {
        "id": known["id"],
        "machine": known["machine"],
        "boot": power["started"],
        "public": power["public"] if known["is_head"] else "",
        "private": power["private"],
        "host_key": known["host_key"],
        "power": "stopped" if power["status"] in switching.OFF else "up",
    }
