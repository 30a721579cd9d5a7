"""The network of an EKS cluster: EKS wants subnets in two zones, nodes live in private ones."""

from typing import TypedDict

import pulumi
import pulumi_aws as aws

CIDR = "10.44.0.0/16"


class EksNetworkArgs(TypedDict):
    """What it is made from."""

    region: str
    """Region of the network."""
    zones: list[str]
    """Two zones or more; nodes with EFA are in the first."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class EksNetwork(pulumi.ComponentResource):
    """A VPC with a private subnet in each zone, one NAT gateway in a public one, and S3 by a gateway endpoint."""

    vpc_id: pulumi.Output[str]
    """Id of the VPC."""

    private_subnet_ids: list[pulumi.Output[str]]
    """Ids of the private subnets, in the order of the zones; known once their routes hold."""

    def __init__(self, name: str, args: EksNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:EksNetwork", name, {}, opts)
        child, tags = pulumi.ResourceOptions(parent=self), args["tags"]
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=CIDR,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={**tags, "Name": name},
            opts=child,
        )
        gateway = aws.ec2.InternetGateway(f"{name}-internet", vpc_id=vpc.id, tags=tags, opts=child)
        out = {"cidr_block": "0.0.0.0/0", "gateway_id": gateway.id}
        public, _ = self._subnet(f"{name}-public", vpc.id, args["zones"][0], "10.44.0.0/24", [out], tags)
        address = aws.ec2.Eip(f"{name}-nat-address", domain="vpc", tags=tags, opts=child)
        nat = aws.ec2.NatGateway(
            f"{name}-nat", allocation_id=address.id, subnet_id=public, tags={**tags, "Name": name}, opts=child
        )
        away = {"cidr_block": "0.0.0.0/0", "nat_gateway_id": nat.id}
        made = [
            self._subnet(f"{name}-private-{at}", vpc.id, zone, f"10.44.{64 * (at + 1)}.0/18", [away], tags)
            for at, zone in enumerate(args["zones"][:3])
        ]
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args['region']}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for _, table in made],
            tags=tags,
            opts=child,
        )
        self.vpc_id, self.private_subnet_ids = vpc.id, [subnet for subnet, _ in made]
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids})

    def _subnet(
        self,
        name: str,
        vpc: pulumi.Output[str],
        zone: str,
        cidr: str,
        ways: list[dict[str, object]],
        tags: dict[str, str],
    ) -> tuple[pulumi.Output[str], aws.ec2.RouteTable]:
        """A subnet with the routes `ways`: its id, which is known once they hold, and its route table."""
        child, named = pulumi.ResourceOptions(parent=self), {**tags, "Name": name}
        subnet = aws.ec2.Subnet(name, vpc_id=vpc, cidr_block=cidr, availability_zone=zone, tags=named, opts=child)
        table = aws.ec2.RouteTable(f"{name}-routes", vpc_id=vpc, routes=ways, tags=named, opts=child)
        routed = aws.ec2.RouteTableAssociation(
            f"{name}-routed", subnet_id=subnet.id, route_table_id=table.id, opts=child
        )
        return routed.subnet_id.apply(lambda found: str(found)), table
