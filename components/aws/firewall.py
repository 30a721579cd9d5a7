"""Who reaches the nodes of a cluster, and whom they reach."""

from typing import Any, TypedDict

import pulumi
import pulumi_aws as aws

from skyrig.cluster import ports as port_ranges

EVERYTHING = {"protocol": "-1", "from_port": 0, "to_port": 0}
INTERNET = {**EVERYTHING, "description": "the internet", "cidr_blocks": ["0.0.0.0/0"]}


class AwsFirewallArgs(TypedDict):
    """What a firewall is made from."""

    vpc_id: pulumi.Input[str]
    """VPC of the nodes."""
    ssh_from: list[str]
    """Networks that may log in at the head, CIDR."""
    ports: list[str]
    """Ports of the head that are open to everyone, as sorted ranges."""
    internet: bool
    """Whether nodes may reach the internet."""
    prefix_lists: pulumi.Input[list[str]]
    """Prefix lists that nodes reach in any case."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class AwsFirewall(pulumi.ComponentResource):
    """Two security groups. That of all nodes lets everything through between them, both ways: EFA needs rules that name
    the group itself, an open CIDR does not do. That of the head opens SSH to those who may log in, and its ports."""

    nodes_group_id: pulumi.Output[str]
    """Id of the security group of all nodes."""

    head_group_id: pulumi.Output[str]
    """Id of the security group that the head has as well."""

    def __init__(self, name: str, args: AwsFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AwsFirewall", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        among = {**EVERYTHING, "description": "nodes of the cluster", "self": True}
        s3 = pulumi.Output.from_input(args["prefix_lists"])
        # Rules stand in their group, not beside it: one that somebody adds is drift then, and is taken out again.
        nodes = aws.ec2.SecurityGroup(
            f"{name}-nodes",
            name_prefix=f"skyrig-{name}-nodes-",
            description="Nodes of a Skyrig cluster",
            vpc_id=args["vpc_id"],
            ingress=[among],
            egress=[among, INTERNET] if args["internet"] else s3.apply(lambda lists: [among, *outward(lists)]),
            tags={**args["tags"], "Name": f"{name}-nodes"},
            opts=child,
        )
        head = aws.ec2.SecurityGroup(
            f"{name}-head",
            name_prefix=f"skyrig-{name}-head-",
            description="Head of a Skyrig cluster",
            vpc_id=args["vpc_id"],
            ingress=inward(args["ssh_from"], args["ports"]),
            egress=[],
            tags={**args["tags"], "Name": f"{name}-head"},
            opts=child,
        )
        self.nodes_group_id = nodes.id
        self.head_group_id = head.id
        self.register_outputs({"nodes_group_id": nodes.id, "head_group_id": head.id})


def inward(ssh_from: list[str], ports: list[str]) -> list[dict[str, Any]]:
    """Rules for who reaches the head: SSH from networks, IPv4 and IPv6 apart, and its open ports from everywhere."""
    old = [network for network in ssh_from if ":" not in network]
    new = [network for network in ssh_from if ":" in network]
    ssh = {
        "description": "SSH",
        "protocol": "tcp",
        "from_port": 22,
        "to_port": 22,
        **({"cidr_blocks": old} if old else {}),
        **({"ipv6_cidr_blocks": new} if new else {}),
    }
    return [ssh, *(_open(port_ranges.one_range(each)) for each in ports)]


def outward(prefix_lists: list[str]) -> list[dict[str, Any]]:
    """Rules for whom nodes reach beside each other where they have no internet."""
    s3 = {"description": "S3", "protocol": "tcp", "from_port": 443, "to_port": 443}
    return [{**s3, "prefix_list_ids": list(prefix_lists)}] if prefix_lists else []


def _open(ports: range) -> dict[str, Any]:
    rule = {"description": "open to everyone", "protocol": "tcp", "from_port": ports[0], "to_port": ports[-1]}
    return {**rule, "cidr_blocks": ["0.0.0.0/0"]}
