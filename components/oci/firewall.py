"""Who may reach the nodes of a cluster."""

from typing import Any, TypedDict

import pulumi
from pulumi_oci.core.network_security_group import NetworkSecurityGroup
from pulumi_oci.core.network_security_group_security_rule import NetworkSecurityGroupSecurityRule

TCP, ICMP = "6", "1"
_EVERYBODY = "0.0.0.0/0"


class OciFirewallArgs(TypedDict):
    """What the firewall of a cluster is made from."""

    cluster: str
    """Beginning of all names."""
    account: str
    """Compartment of the groups."""
    labels: dict[str, str]
    """Free-form tags of the groups: rules carry none."""
    vcn: pulumi.Input[str]
    """OCID of the cluster's VCN."""
    ranges: list[str]
    """Ranges of the VCN (CIDR)."""
    services: pulumi.Input[str]
    """What Oracle's own services are called in a rule."""
    has_services: bool
    """Whether they are reached by a way of their own."""
    ssh_from: list[str]
    """Networks that may log in at the head, CIDR."""
    ports: list[str]
    """Ports of the head that are open to everybody, as sorted ranges."""
    closed: bool
    """Whether nodes open no connection to the outside (egress none)."""


class OciFirewall(pulumi.ComponentResource):
    """Two security groups. All nodes are in the one: everything passes among them, and they go where they like, unless
    they are closed. The head is in the other too: SSH from the given networks, its open ports from everywhere."""

    nodes: pulumi.Output[str]
    """OCID of the group that all nodes are in."""

    head: pulumi.Output[str]
    """OCID of the group that the head is in besides."""

    def __init__(self, name: str, args: OciFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:OciFirewall", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self.nodes, self.head = self._group("nodes"), self._group("head")
        among = {"source": self.nodes, "source_type": "NETWORK_SECURITY_GROUP", "protocol": "all"}
        self._rule("inside", self.nodes, among)
        # Who sends too large packets is told so: without that, connections over a smaller MTU hang.
        fragments = {"protocol": ICMP, "icmp_options": {"type": 3, "code": 4}}
        self._rule("fragments", self.nodes, {**_from(_EVERYBODY), **fragments})
        for number, network in enumerate(args["ssh_from"]):
            self._rule(f"ssh-{number}", self.head, {**_from(network), **_tcp("22")})
        for ports in args["ports"]:
            self._rule(f"ports-{ports}", self.head, {**_from(_EVERYBODY), **_tcp(ports)})
        self._out()
        self.register_outputs({"nodes": self.nodes, "head": self.head})

    def _out(self) -> None:
        """Where nodes may go."""
        if not self._args["closed"]:
            self._rule("out", self.nodes, _to(_EVERYBODY))
            return
        for number, range_ in enumerate(self._args["ranges"]):
            self._rule(f"out-{number}", self.nodes, _to(range_))
        if self._args["has_services"]:
            near = {"destination": self._args["services"], "destination_type": "SERVICE_CIDR_BLOCK", "protocol": "all"}
            self._rule("out-services", self.nodes, {**near, "direction": "EGRESS"})

    def _group(self, what: str) -> pulumi.Output[str]:
        group = NetworkSecurityGroup(
            f"{self._name}-{what}",
            compartment_id=self._args["account"],
            vcn_id=self._args["vcn"],
            display_name=f"{self._args['cluster']}-{what}",
            freeform_tags=self._args["labels"],
            opts=self._child,
        )
        id_: pulumi.Output[str] = group.id
        return id_

    def _rule(self, what: str, group: pulumi.Input[str], rule: dict[str, Any]) -> None:
        NetworkSecurityGroupSecurityRule(
            f"{self._name}-rule-{what}",
            **{"network_security_group_id": group, "direction": "INGRESS", **rule},
            opts=self._child,
        )


def _from(network: str) -> dict[str, Any]:
    return {"source": network, "source_type": "CIDR_BLOCK"}


def _to(network: str) -> dict[str, Any]:
    return {"direction": "EGRESS", "destination": network, "destination_type": "CIDR_BLOCK", "protocol": "all"}


def _tcp(ports: str) -> dict[str, Any]:
    """TCP at a port or a range of ports, for instance 8000-8010."""
    first, _, last = ports.partition("-")
    return {
        "protocol": TCP,
        "tcp_options": {"destination_port_range": {"min": int(first), "max": int(last or first)}},
    }
