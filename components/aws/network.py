"""The network of a cluster: one of its own, or an existing one."""

from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.aws import adopted
from components.refuse import refuse

CIDR = "10.42.0.0/16"
"""Addresses of a network of our own."""
PUBLIC = "10.42.0.0/20"
"""Addresses of its public subnet: 4091 nodes."""
PRIVATE = "10.42.128.0/17"
"""Addresses of its private subnet: 32763 nodes."""


class AwsNetworkArgs(TypedDict):
    """What a network is made from."""

    region: str
    """Region of the network."""
    zone: str
    """Zone of both subnets: EFA does not leave a zone."""
    vpc: str
    """Id of an existing VPC to use, of which nothing is changed; "" makes one."""
    egress: str
    """How nodes in the private subnet reach the internet: nat (a NAT gateway), or anything else: not at all."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class AwsNetwork(pulumi.ComponentResource):
    """A VPC with a public subnet, which has a route to the internet, and a private one, in one zone. S3 is reached by a
    gateway endpoint from both, which costs nothing.

    Who uses a subnet by these outputs comes after its routes, and goes before them.
    """

    vpc_id: pulumi.Output[str]
    """Id of the VPC."""

    public_subnet_id: pulumi.Output[str]
    """Id of the subnet for nodes with a public address."""

    private_subnet_id: pulumi.Output[str]
    """Id of the subnet for all others, and for EFA interfaces, which have no address."""

    prefix_lists: pulumi.Output[list[str]]
    """Prefix lists of what is reached without the internet: S3, where there is an endpoint of ours."""

    def __init__(self, name: str, args: AwsNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AwsNetwork", name, {}, opts)
        if args["vpc"]:
            self._adopt(args)
        else:
            self._make(name, args, pulumi.ResourceOptions(parent=self))
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "public_subnet_id": self.public_subnet_id,
                "private_subnet_id": self.private_subnet_id,
                "prefix_lists": self.prefix_lists,
            }
        )

    def _adopt(self, args: AwsNetworkArgs) -> None:
        """Only look, and refuse what nodes would not work in."""
        seen = adopted.look(args["vpc"], args["zone"], pulumi.InvokeOptions(parent=self))
        wrong = adopted.wrong(seen, args["egress"])
        refuse("AwsNetwork", {"machine.network": wrong} if wrong else {})
        public, private = adopted.chosen(seen, args["egress"])
        self.vpc_id = pulumi.Output.from_input(args["vpc"])
        self.public_subnet_id = pulumi.Output.from_input(public)
        self.private_subnet_id = pulumi.Output.from_input(private)
        self.prefix_lists = pulumi.Output.from_input([])

    def _make(self, name: str, args: AwsNetworkArgs, child: pulumi.ResourceOptions) -> None:
        tags = args["tags"]
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
        public, public_table = self._subnet(f"{name}-public", vpc.id, PUBLIC, args, [out])
        ways = [self._nat(name, public, tags, child)] if args["egress"] == "nat" else []
        private, private_table = self._subnet(f"{name}-private", vpc.id, PRIVATE, args, ways)
        endpoint = aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args['region']}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[public_table.id, private_table.id],
            tags=tags,
            opts=child,
        )
        self.vpc_id = vpc.id
        self.public_subnet_id, self.private_subnet_id = public, private
        self.prefix_lists = endpoint.prefix_list_id.apply(lambda found: [found] if found else [])

    def _subnet(
        self, name: str, vpc: pulumi.Output[str], cidr: str, args: AwsNetworkArgs, ways: list[dict[str, object]]
    ) -> tuple[pulumi.Output[str], aws.ec2.RouteTable]:
        """A subnet with the routes `ways`: its id, which is known once they hold, and its route table."""
        child = pulumi.ResourceOptions(parent=self)
        tags = {**args["tags"], "Name": name}
        subnet = aws.ec2.Subnet(
            name, vpc_id=vpc, cidr_block=cidr, availability_zone=args["zone"], tags=tags, opts=child
        )
        table = aws.ec2.RouteTable(f"{name}-routes", vpc_id=vpc, routes=ways, tags=tags, opts=child)
        routed = aws.ec2.RouteTableAssociation(
            f"{name}-routed", subnet_id=subnet.id, route_table_id=table.id, opts=child
        )
        return routed.subnet_id.apply(lambda found: str(found)), table

    def _nat(
        self, name: str, public: pulumi.Output[str], tags: dict[str, str], child: pulumi.ResourceOptions
    ) -> dict[str, object]:
        """The way out through a NAT gateway in the public subnet."""
        address = aws.ec2.Eip(f"{name}-nat-address", domain="vpc", tags=tags, opts=child)
        nat = aws.ec2.NatGateway(
            f"{name}-nat", allocation_id=address.id, subnet_id=public, tags={**tags, "Name": name}, opts=child
        )
        return {"cidr_block": "0.0.0.0/0", "nat_gateway_id": nat.id}
