"""The nodes of a cluster as Compute VMs: their head's address, their GPU cluster and their power."""

from typing import Any, TypedDict

import pulumi
import pulumi_nebius as nebius

from components.nebius.group import NebiusNodeGroup, NebiusNodeGroupArgs
from components.nebius.power import NebiusPower
from components.wanted import WantedNodeArgs
from skyrig.cluster.machine import capacity, paid_in


class NebiusMachinesArgs(TypedDict):
    """What the machines of a cluster are made from."""

    nodes: list[WantedNodeArgs]
    """Wanted nodes of all groups in rank order; the first is the head."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts machines that stopped themselves."""
    fabric: str
    """InfiniBand fabric that all machines are on; "" is none."""
    group: dict[str, Any]
    """What all groups share: the properties of NebiusNodeGroupArgs but nodes, head, allocation and gpu_cluster."""


class NebiusMachines(pulumi.ComponentResource):
    """Groups of machines of one cluster in one region.

    `said` is what is known of each node, in rank order (what components.nebius.cloud makes of it is a SaidNode).
    """

    def __init__(self, name: str, args: NebiusMachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:NebiusMachines", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        group, head = args["group"], args["nodes"][0]["id"]
        address = nebius.VpcV1Allocation(
            f"{name}-head",
            **self._named("head"),
            ipv4_public={"subnet_id": group["subnet"]},
            opts=self._child,
        )
        shared = {**group, "head": head, "allocation": address.id, "gpu_cluster": self._gpu_cluster()}
        groups = {
            each: NebiusNodeGroup(f"{name}-{each}", _group(shared, each, args["nodes"]), self._child)
            for each in dict.fromkeys(wanted["group"] for wanted in args["nodes"])
        }
        nodes = {wanted["id"]: groups[wanted["group"]].nodes[wanted["id"]] for wanted in args["nodes"]}
        power = NebiusPower(
            f"{name}-power",
            {
                "project": group["project"],
                "machines": pulumi.Output.all(**{node: made.id for node, made in nodes.items()}),
                "power": args["power"],
                "starts": args["starts"],
            },
            self._child,
        )
        self.said = [
            pulumi.Output.all(
                id=wanted["id"],
                machine=nodes[wanted["id"]].id,
                host_key=groups[wanted["group"]].host_keys[wanted["id"]].public_key,
                power=power.nodes[wanted["id"]],
                is_head=wanted["id"] == head,
            )
            for wanted in args["nodes"]
        ]
        self.register_outputs({})

    def _gpu_cluster(self) -> pulumi.Output[str] | None:
        """Id of the GPU cluster, by which machines are on one InfiniBand fabric."""
        if not self._args["fabric"]:
            return None
        made = nebius.ComputeV1GpuCluster(
            f"{self._name}-gpu-cluster",
            **self._named("gpus"),
            infiniband_fabric=self._args["fabric"],
            opts=self._child,
        )
        return made.id

    def _named(self, what: str) -> dict[str, Any]:
        group = self._args["group"]
        return {"name": f"{group['cluster']}-{what}", "parent_id": group["project"], "labels": group["labels"]}


def _group(shared: dict[str, Any], group: str, nodes: list[WantedNodeArgs]) -> NebiusNodeGroupArgs:
    """Arguments of one group."""
    paid = {"capacity": str(paid_in(capacity(shared["capacity"]), group))}
    args: NebiusNodeGroupArgs = {**shared, **paid, "nodes": [wanted for wanted in nodes if wanted["group"] == group]}  # type: ignore[typeddict-item]
    return args
