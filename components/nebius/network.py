"""The network of a cluster, and who may reach its nodes."""

from typing import Any, TypedDict

import pulumi
import pulumi_nebius as nebius

from skyrig.cluster import ports as port_ranges

_A_RULE = 8
"""How many networks or ports a rule names at most (provider nebius 0.6.73, resource vpc_v1_security_rule)."""


class NebiusNetworkArgs(TypedDict):
    """What the network of a cluster is made from."""

    cluster: str
    """Beginning of all names."""
    project: str
    """Project of the network."""
    labels: dict[str, str]
    """Labels on everything."""
    adopt: str
    """Id of an existing subnet to use; "" makes a network with one."""
    ssh_from: list[str]
    """Networks that may log in at the head, CIDR."""
    ports: list[str]
    """Ports of the head that are open to everybody, as sorted ranges."""
    closed: bool
    """Whether nodes open no connection to the outside (egress none)."""


class NebiusNetwork(pulumi.ComponentResource):
    """A network with one subnet, and two security groups: one of all nodes, which lets in what comes from nodes alone,
    and one of the head beside it. What has no public address reaches the internet through the network's default egress
    gateway, which is there by itself."""

    subnet: pulumi.Output[str]
    """Id of the subnet."""

    nodes: pulumi.Output[str]
    """Id of the security group of all nodes."""

    head: pulumi.Output[str]
    """Id of the security group of the head."""

    def __init__(self, name: str, args: NebiusNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:NebiusNetwork", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        network = self._network()
        self.nodes = self._group("nodes", network)
        self._rule("nodes", "inside", self.nodes, ingress={"source_security_group_id": self.nodes})
        out = {"destination_security_group_id": self.nodes} if args["closed"] else {"destination_cidrs": ["0.0.0.0/0"]}
        self._rule("nodes", "out", self.nodes, egress=out)
        self.head = self._group("head", network)
        for number, sources in enumerate(_parts(args["ssh_from"])):
            ssh = {"source_cidrs": sources, "destination_ports": [22]}
            self._rule("head", f"ssh{number}", self.head, "TCP", ingress=ssh)
        for number, ports in enumerate(_parts(port_ranges.numbers(args["ports"]))):
            opened = {"source_cidrs": ["0.0.0.0/0"], "destination_ports": ports}
            self._rule("head", f"ports{number}", self.head, "TCP", ingress=opened)
        self.register_outputs({"subnet": self.subnet})

    def _network(self) -> pulumi.Output[str]:
        """Id of the network that the subnet is in; makes both where none is adopted."""
        args = self._args
        if args["adopt"]:
            self.subnet = pulumi.Output.from_input(args["adopt"])
            found = nebius.get_vpc_v1_subnet_output(id=args["adopt"], opts=pulumi.InvokeOutputOptions(parent=self))
            return found.network_id
        made = nebius.VpcV1Network(f"{self._name}-vpc", **self._said("network"), opts=self._child)
        subnet = nebius.VpcV1Subnet(
            f"{self._name}-subnet", network_id=made.id, **self._said("subnet"), opts=self._child
        )
        self.subnet = subnet.id
        return made.id

    def _group(self, what: str, network: pulumi.Output[str]) -> pulumi.Output[str]:
        made = nebius.VpcV1SecurityGroup(
            f"{self._name}-{what}", network_id=network, **self._said(what), opts=self._child
        )
        return made.id

    def _rule(self, group: str, what: str, parent: pulumi.Output[str], protocol: str = "ANY", **direction: Any) -> None:
        nebius.VpcV1SecurityRule(
            f"{self._name}-{group}-{what}",
            name=f"{self._args['cluster']}-{group}-{what}",
            parent_id=parent,
            labels=self._args["labels"],
            access="ALLOW",
            protocol=protocol,
            **direction,
            opts=self._child,
        )

    def _said(self, what: str) -> dict[str, Any]:
        args = self._args
        return {"name": f"{args['cluster']}-{what}", "parent_id": args["project"], "labels": args["labels"]}


def _parts(items: list[Any]) -> list[list[Any]]:
    """As many as a rule names, at a time."""
    return [items[start : start + _A_RULE] for start in range(0, len(items), _A_RULE)]
