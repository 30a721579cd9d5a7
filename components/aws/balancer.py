"""The cloud's own balancer before the open ports of a cluster: a Network Load Balancer."""

from typing import Any, TypedDict

import pulumi
import pulumi_aws as aws

PREFIX = "sky-"
"""What the names of balancers and target groups begin with: six letters at most, the provider adds the rest."""

PORT = "skyrig-port"
"""Tag with the port that a target group or a listener is for."""

DRAINING_S = 60
"""How long connections to a head that goes may go on, in seconds."""


class AwsBalancerArgs(TypedDict):
    """What a balancer is made from."""

    vpc_id: pulumi.Input[str]
    """VPC of the head."""
    subnet_id: pulumi.Input[str]
    """Public subnet of the head's zone, in which the balancer has its address."""
    head: pulumi.Input[str]
    """Id of the head's instance."""
    ports: list[int]
    """Ports of the head that it is before, each under its own number."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class AwsBalancer(pulumi.ComponentResource):
    """A Network Load Balancer with an address of its own. It passes TCP on as it comes, and whoever connects is seen by
    the head under his own address: so the head's firewall, which lets everybody in at these ports, holds for it and for
    its health probes. Another head is another target, and no other address."""

    address: pulumi.Output[str]
    """Its public address."""

    def __init__(self, name: str, args: AwsBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AwsBalancer", name, {}, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        tags = {**args["tags"], "Name": name}
        address = aws.ec2.Eip(f"{name}-address", domain="vpc", tags=tags, opts=self._child)
        balancer = aws.lb.LoadBalancer(
            f"{name}-nlb",
            name_prefix=PREFIX,
            load_balancer_type="network",
            internal=False,
            ip_address_type="ipv4",
            subnet_mappings=[{"subnet_id": args["subnet_id"], "allocation_id": address.id}],
            tags=tags,
            opts=self._child,
        )
        for port in args["ports"]:
            self._opened(f"{name}-{port}", port, balancer.arn, args)
        # The address answers once the balancer has it.
        self.address = pulumi.Output.all(address.public_ip, balancer.arn).apply(lambda known: str(known[0]))
        self.register_outputs({"address": self.address})

    def _opened(self, name: str, port: int, balancer: pulumi.Output[str], args: AwsBalancerArgs) -> None:
        """One port: who listens, and the head behind it."""
        tags = {**args["tags"], PORT: str(port)}
        targets = aws.lb.TargetGroup(
            f"{name}-targets", **target_group(port), vpc_id=args["vpc_id"], tags=tags, opts=self._child
        )
        aws.lb.TargetGroupAttachment(
            f"{name}-head", target_group_arn=targets.arn, target_id=args["head"], port=port, opts=self._child
        )
        aws.lb.Listener(
            f"{name}-listener",
            load_balancer_arn=balancer,
            port=port,
            protocol="TCP",
            default_actions=[{"type": "forward", "target_group_arn": targets.arn}],
            tags=tags,
            opts=self._child,
        )


def target_group(port: int) -> dict[str, Any]:
    """Properties of the targets of one port: the head, for as long as it takes connections there."""
    probed = {"protocol": "TCP", "port": "traffic-port", "interval": 10}
    return {
        "name_prefix": PREFIX,
        "port": port,
        "protocol": "TCP",
        "target_type": "instance",
        "preserve_client_ip": "true",
        "deregistration_delay": DRAINING_S,
        "health_check": {**probed, "healthy_threshold": 2, "unhealthy_threshold": 2},
    }
