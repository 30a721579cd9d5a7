"""The nodes of a cluster as Compute Engine instances: their head's address, their placement and their power."""

from typing import Any, TypedDict

import pulumi
from pulumi_gcp.compute.address import Address
from pulumi_gcp.compute.resource_policy import ResourcePolicy

from components.gcp import gpudirect
from components.gcp.group import GcpNodeGroup, GcpNodeGroupArgs
from components.gcp.power import GcpPower
from components.wanted import WantedNodeArgs
from skyrig.catalog import instances
from skyrig.clouds.gcp.names import described, machine_name
from skyrig.cluster.machine import capacity, paid_in


class GcpMachinesArgs(TypedDict):
    """What the instances of a cluster are made from."""

    project: str
    """Project of the machines."""
    region: str
    """Region of the head's address and of the placement policy."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes of all groups in rank order; the first is the head."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts machines that stopped themselves."""
    group: dict[str, Any]
    """What all groups share: the properties of GcpNodeGroupArgs but nodes, head, address and placement."""


class GcpMachines(pulumi.ComponentResource):
    """Groups of instances of one cluster in one zone.

    `said` is what is known of each node, in rank order (what components.gcp.cloud makes of it is a SaidNode); `head` is
    the head's instance.
    """

    def __init__(self, name: str, args: GcpMachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpMachines", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        cluster, head = args["group"]["cluster"], args["nodes"][0]["id"]
        address = Address(
            f"{name}-head",
            name=f"{cluster}-head",
            region=args["region"],
            network_tier="PREMIUM",
            labels=args["group"]["labels"],
            opts=self._child,
        )
        shared: dict[str, Any] = {
            **args["group"],
            "head": head,
            "address": address.address,
            "placement": self._placement(),
        }
        groups = {
            group: GcpNodeGroup(f"{name}-{group}", _group(shared, group, args["nodes"]), self._child)
            for group in dict.fromkeys(wanted["group"] for wanted in args["nodes"])
        }
        nodes = {wanted["id"]: groups[wanted["group"]].nodes[wanted["id"]] for wanted in args["nodes"]}
        self.head = nodes[head]
        power = GcpPower(
            f"{name}-power",
            {
                "project": args["project"],
                "zone": args["group"]["zone"],
                "machines": {w["id"]: machine_name(cluster, w["id"], w["version"]) for w in args["nodes"]},
                "ids": pulumi.Output.all(**{node: made.instance_id for node, made in nodes.items()}),
                "power": args["power"],
                "starts": args["starts"],
            },
            self._child,
        )
        self.said = [
            pulumi.Output.all(
                id=wanted["id"],
                machine=nodes[wanted["id"]].instance_id,
                private=nodes[wanted["id"]].network_interfaces[0].network_ip,
                public=address.address if wanted["id"] == head else "",
                host_key=groups[wanted["group"]].host_keys[wanted["id"]].public_key,
                power=power.nodes[wanted["id"]],
            )
            for wanted in args["nodes"]
        ]
        self.register_outputs({"address": address.address})

    def _placement(self) -> pulumi.Output[str] | None:
        """Link of the policy that places the nodes close to each other, where there is one."""
        shared = self._args["group"]
        kind, paid = instances.find("gcp", shared["instance_type"]), capacity(shared["capacity"])
        if not gpudirect.compact(kind, shared["network_tier"], paid.kind):
            return None
        policy = ResourcePolicy(
            f"{self._name}-placement",
            name=f"{shared['cluster']}-placement",
            description=described(shared["labels"]),
            region=self._args["region"],
            group_placement_policy={"collocation": "COLLOCATED"},
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(ignore_changes=["description"])),
        )
        link: pulumi.Output[str] = policy.self_link
        return link


def _group(shared: dict[str, Any], group: str, nodes: list[WantedNodeArgs]) -> GcpNodeGroupArgs:
    """Arguments of one group."""
    paid = {"capacity": str(paid_in(capacity(shared["capacity"]), group))}
    args: GcpNodeGroupArgs = {**shared, **paid, "nodes": [wanted for wanted in nodes if wanted["group"] == group]}  # type: ignore[typeddict-item]
    return args
