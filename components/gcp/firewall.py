"""Who may reach the nodes of a cluster."""

from typing import TypedDict

import pulumi
from pulumi_gcp.compute.firewall import Firewall

GOOGLE_APIS = "199.36.153.8/30"
"""Addresses of private.googleapis.com, which lead to Google's own services alone."""


class GcpFirewallArgs(TypedDict):
    """What the firewall of a cluster is made from."""

    cluster: str
    """Beginning of all names, and network tag of all nodes; the head has CLUSTER-head too."""
    description: str
    """Description of the rules: they carry no labels."""
    network: pulumi.Input[str]
    """Link of the cluster's network."""
    fabric_networks: list[pulumi.Input[str]]
    """Links of the fabric's networks, in their order."""
    range: str
    """Range of the cluster's subnet, CIDR."""
    ssh_from: list[str]
    """Networks that may log in at the head, CIDR."""
    ports: list[str]
    """Ports of the head that are open to everybody, as sorted ranges."""
    closed: bool
    """Whether the head opens no connection to the outside either (egress none)."""


class GcpFirewall(pulumi.ComponentResource):
    """Firewall rules of a cluster: SSH at the head from the given networks, its open ports from everywhere, and
    everything among the nodes, in each of their networks. All else stays out, as a VPC does by itself."""

    def __init__(self, name: str, args: GcpFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpFirewall", name, {}, opts)
        self._name, self._args = name, args
        cluster, head = args["cluster"], f"{args['cluster']}-head"
        among = {"source_tags": [cluster], "target_tags": [cluster], "allows": [{"protocol": "all"}]}
        to_head = {"target_tags": [head]}
        ssh = {"allows": [{"protocol": "tcp", "ports": ["22"]}], "source_ranges": args["ssh_from"]}
        self._rule("ssh", args["network"], {**to_head, **ssh})
        if args["ports"]:
            opened = {"allows": [{"protocol": "tcp", "ports": args["ports"]}], "source_ranges": ["0.0.0.0/0"]}
            self._rule("ports", args["network"], {**to_head, **opened})
        self._rule("inside", args["network"], among)
        for number, network in enumerate(args["fabric_networks"]):
            self._rule(f"inside-gpu{number}", network, among)
        if args["closed"]:
            out = {**to_head, "direction": "EGRESS"}
            reached = {"allows": [{"protocol": "all"}], "destination_ranges": [args["range"], GOOGLE_APIS]}
            self._rule("out", args["network"], {**out, **reached})
            rest = {"denies": [{"protocol": "all"}], "destination_ranges": ["0.0.0.0/0"], "priority": 2000}
            self._rule("closed", args["network"], {**out, **rest})
        self.register_outputs({})

    def _rule(self, what: str, network: pulumi.Input[str], rule: dict[str, object]) -> None:
        Firewall(
            f"{self._name}-{what}",
            **{
                "name": f"{self._args['cluster']}-{what}",
                "description": self._args["description"],
                "network": network,
                "direction": "INGRESS",
                **rule,
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
