"""Nodes of an EKS cluster that have EFA: close to each other, with all the interfaces of their type."""

from typing import Any, TypedDict

import pulumi
import pulumi_aws as aws

from components.aws import efa, market
from components.refuse import refuse
from skyrig.catalog import instances
from skyrig.cluster import machine
from skyrig.cluster.machine import Capacity


class EksNodesArgs(TypedDict):
    """What a node group is made from."""

    cluster: pulumi.Input[str]
    """Name of the cluster."""
    role_arn: pulumi.Input[str]
    """Role of the nodes."""
    vpc_id: pulumi.Input[str]
    """VPC of the cluster."""
    subnet: pulumi.Input[str]
    """The one private subnet of the nodes: EFA does not leave a zone."""
    cluster_group: pulumi.Input[str]
    """The security group that nodes share with the control plane."""
    instance_type: str
    """Type of each node, for instance p5.48xlarge."""
    nodes: int
    """How many."""
    capacity: str
    """on-demand, spot, reservation/ID or block/ID."""
    disk_gb: int
    """Root disk in GiB."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class EksNodes(pulumi.ComponentResource):
    """A managed node group, in a placement group of its own where its capacity is not reserved. Its nodes say
    `vpc.amazonaws.com/efa` and `nvidia.com/gpu` once the device plugins are there (components.eks.plugins), of which
    NVIDIA's goes only where a label says so; other pods are kept away by a taint."""

    name: pulumi.Output[str]
    """Name of the node group."""

    def __init__(self, name: str, args: EksNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("EksNodes", wrong(args))
        super().__init__("skyrig:index:EksNodes", name, {}, opts)
        child, tags = pulumi.ResourceOptions(parent=self), args["tags"]
        kind, paid = instances.find("aws", args["instance_type"]), machine.capacity(args["capacity"])
        close = (
            aws.ec2.PlacementGroup(f"{name}-close", strategy="cluster", tags=tags, opts=child)
            if market.placed(paid)
            else None
        )
        among = self._among(name, args, child)
        template = aws.ec2.LaunchTemplate(
            name,
            instance_type=args["instance_type"],
            placement={"group_name": close.name} if close else None,
            network_interfaces=[
                {
                    "network_card_index": each.card,
                    "device_index": each.device,
                    "interface_type": each.kind,
                    "security_groups": [args["cluster_group"], among],
                    "delete_on_termination": "true",
                }
                for each in efa.interfaces(kind, "best")
            ],
            metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {"device_name": "/dev/xvda", "ebs": {"volume_size": args["disk_gb"], "volume_type": "gp3",
                                                    "encrypted": "true", "delete_on_termination": "true"}}
            ],
            tag_specifications=[{"resource_type": each, "tags": tags} for each in ("instance", "volume")],
            tags=tags,
            **bought(paid),
            opts=child,
        )  # fmt: skip
        group = aws.eks.NodeGroup(
            f"{name}-group",
            cluster_name=args["cluster"],
            node_role_arn=args["role_arn"],
            subnet_ids=[args["subnet"]],
            ami_type="AL2023_x86_64_NVIDIA",
            capacity_type={"spot": "SPOT", "block": "CAPACITY_BLOCK"}.get(paid.kind, "ON_DEMAND"),
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config={"desired_size": args["nodes"], "min_size": 0, "max_size": args["nodes"]},
            taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}],
            labels={"skypilot.co/accelerator": kind.accelerator.lower(), "nvidia.com/gpu.present": "true"},
            tags=tags,
            opts=child,
        )
        self.name = group.node_group_name
        self.register_outputs({"name": self.name})

    def _among(self, name: str, args: EksNodesArgs, child: pulumi.ResourceOptions) -> pulumi.Output[str]:
        """The group in which nodes say everything to each other, which is what EFA wants, and nothing to others."""
        group = aws.ec2.SecurityGroup(
            f"{name}-efa",
            description="EFA between the nodes",
            vpc_id=args["vpc_id"],
            ingress=[{"protocol": "-1", "from_port": 0, "to_port": 0, "self": True}],
            egress=[{"protocol": "-1", "from_port": 0, "to_port": 0, "self": True}],
            tags=args["tags"],
            opts=child,
        )
        return pulumi.Output.from_input(group.id)


def wrong(args: EksNodesArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    kind = instances.of_cloud("aws").get(args["instance_type"])
    if kind is None:
        return {"instance_type": f"{args['instance_type']} is not known"}
    if kind.fabric == "efa" and not efa.known(kind):
        return {"instance_type": f"nobody knows the network cards of {args['instance_type']}"}
    return {} if args["nodes"] >= 1 else {"nodes": "at least one"}


def bought(capacity: Capacity) -> dict[str, Any]:
    """What the launch template says of nodes out of a reservation or a capacity block; EKS itself buys all others."""
    return {} if market.placed(capacity) else market.options(capacity)
