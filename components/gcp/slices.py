"""The nodes of a cluster as hosts of TPU slices."""

from typing import Any, TypedDict

import pulumi

from components.gcp.tpu import GcpTpuGroup, GcpTpuGroupArgs
from components.wanted import WantedNodeArgs
from skyrig.cluster.machine import capacity, paid_in


class GcpSlicesArgs(TypedDict):
    """What the TPU slices of a cluster are made from."""

    nodes: list[WantedNodeArgs]
    """Wanted nodes of all groups in rank order; the first is the head."""
    group: dict[str, Any]
    """What all groups share: the properties of GcpTpuGroupArgs but nodes and head."""


class GcpSlices(pulumi.ComponentResource):
    """Groups of TPU slices of one cluster. The head is reached at its own address: all hosts of its slice have one, as
    Google Cloud knows no other way, and log-in is let in at that slice alone.

    `said` is what is known of each node, in rank order (what components.gcp.cloud makes of it is a SaidNode).
    """

    def __init__(self, name: str, args: GcpSlicesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpSlices", name, {}, opts)
        head = args["nodes"][0]["id"]
        shared: dict[str, Any] = {**args["group"], "head": head}
        groups = {
            group: GcpTpuGroup(
                f"{name}-{group}", _group(shared, group, args["nodes"]), pulumi.ResourceOptions(parent=self)
            )
            for group in dict.fromkeys(wanted["group"] for wanted in args["nodes"])
        }
        self.said = []
        for wanted in args["nodes"]:
            group = groups[wanted["group"]]
            first, host = group.places[wanted["id"]]
            endpoint = group.slices[first].network_endpoints[host]
            self.said.append(
                pulumi.Output.all(
                    id=wanted["id"],
                    machine=pulumi.Output.concat(group.slices[first].id, f"/{host} at ", endpoint.ip_address),
                    private=endpoint.ip_address,
                    public=endpoint.access_configs[0].external_ip if wanted["id"] == head else "",
                    host_key=group.host_keys[first].public_key,
                    power={"status": "RUNNING", "started": ""},
                )
            )
        self.register_outputs({})


def _group(shared: dict[str, Any], group: str, nodes: list[WantedNodeArgs]) -> GcpTpuGroupArgs:
    """Arguments of one group."""
    paid = {"capacity": str(paid_in(capacity(shared["capacity"]), group))}
    args: GcpTpuGroupArgs = {**shared, **paid, "nodes": [wanted for wanted in nodes if wanted["group"] == group]}  # type: ignore[typeddict-item]
    return args
