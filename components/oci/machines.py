"""The nodes of a cluster as instances: their RDMA network and their power."""

from typing import Any, TypedDict

import pulumi
from pulumi_oci.core.compute_cluster import ComputeCluster

from components.oci.group import OciNodeGroup, OciNodeGroupArgs
from components.oci.power import OciPower
from components.wanted import WantedNodeArgs
from skyrig.catalog import fabrics, instances
from skyrig.cluster.machine import capacity, paid_in


class OciMachinesArgs(TypedDict):
    """What the instances of a cluster are made from."""

    region: str
    """Region of the instances."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes of all groups in rank order; the first is the head."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts machines that stopped themselves."""
    group: dict[str, Any]
    """What all groups share: the properties of OciNodeGroupArgs but nodes, head and rdma."""


class OciMachines(pulumi.ComponentResource):
    """Groups of instances of one cluster in one availability domain.

    With RDMA they are in a compute cluster, in which each instance is a thing of its own: it comes, goes and is made
    anew by itself. A cluster network is a pool of a *number* of instances, of which Oracle Cloud chooses the one that
    goes; it could not hold a set of nodes that are known by their ids. One node is in such a cluster too, so that a
    second one can join it.

    `said` is what is known of each node, in rank order (what components.oci.cloud makes of it is a SaidNode);
    `ids` are the OCIDs of all instances.
    """

    def __init__(self, name: str, args: OciMachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:OciMachines", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        shared: dict[str, Any] = {**args["group"], "head": args["nodes"][0]["id"], "rdma": self._rdma()}
        groups = {
            group: OciNodeGroup(f"{name}-{group}", _group(shared, group, args["nodes"]), self._child)
            for group in dict.fromkeys(wanted["group"] for wanted in args["nodes"])
        }
        nodes = {wanted["id"]: groups[wanted["group"]].nodes[wanted["id"]] for wanted in args["nodes"]}
        power = OciPower(
            f"{name}-power",
            {
                "account": args["group"]["account"],
                "region": args["region"],
                "ids": pulumi.Output.all(**{node: made.id for node, made in nodes.items()}),
                "power": args["power"],
                "starts": args["starts"],
            },
            self._child,
        )
        self.ids: list[pulumi.Input[str]] = [made.id for made in nodes.values()]
        self.said = [
            pulumi.Output.all(
                id=wanted["id"],
                machine=nodes[wanted["id"]].id,
                private=nodes[wanted["id"]].private_ip,
                public=nodes[wanted["id"]].public_ip if wanted["id"] == args["nodes"][0]["id"] else "",
                host_key=groups[wanted["group"]].host_keys[wanted["id"]].public_key,
                power=power.nodes[wanted["id"]],
            )
            for wanted in args["nodes"]
        ]
        self.register_outputs({})

    def _rdma(self) -> pulumi.Output[str] | None:
        """OCID of the compute cluster, where the nodes have RDMA."""
        shared = self._args["group"]
        if fabrics.of(instances.find("oci", shared["instance_type"]), shared["network_tier"]).kind != "roce":
            return None
        made = ComputeCluster(
            f"{self._name}-rdma",
            availability_domain=shared["zone"],
            compartment_id=shared["account"],
            display_name=f"{shared['cluster']}-rdma",
            freeform_tags=shared["labels"],
            opts=self._child,
        )
        id_: pulumi.Output[str] = made.id
        return id_


def _group(shared: dict[str, Any], group: str, nodes: list[WantedNodeArgs]) -> OciNodeGroupArgs:
    """Arguments of one group."""
    paid = {"capacity": str(paid_in(capacity(shared["capacity"]), group))}
    args: OciNodeGroupArgs = {**shared, **paid, "nodes": [wanted for wanted in nodes if wanted["group"] == group]}  # type: ignore[typeddict-item]
    return args
