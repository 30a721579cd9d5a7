"""An existing VPC, looked at and never changed: whether nodes would work in it, and which subnets they use."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
from attrs import frozen


@frozen
class Subnet:
    """One subnet of the zone. `way` is where its default route goes: internet, elsewhere (a NAT gateway), ""."""

    id: str
    way: str


@frozen
class Vpc:
    """What was seen of a VPC in one zone; subnets in the order of their ids, so that the choice stays the same."""

    id: str
    zone: str
    names: bool
    subnets: tuple[Subnet, ...]


@frozen
class Table:
    """One route table: its subnets, whether it holds for those that have none, and its default route."""

    subnets: tuple[str, ...]
    main: bool
    way: str


def look(vpc: str, zone: str, opts: pulumi.InvokeOptions) -> Vpc:
    """What there is, by read-only calls. The engine shows AWS's own error where the VPC is not there."""
    found = aws.ec2.get_vpc(id=vpc, opts=opts)
    in_vpc = [{"name": "vpc-id", "values": [vpc]}]
    in_zone = [*in_vpc, {"name": "availability-zone", "values": [zone]}]
    subnets = sorted(aws.ec2.get_subnets(filters=in_zone, opts=opts).ids)
    ids = sorted(aws.ec2.get_route_tables(vpc_id=vpc, opts=opts).ids)
    tables = [_table(aws.ec2.get_route_table(route_table_id=each, opts=opts)) for each in ids]
    return Vpc(
        id=vpc,
        zone=zone,
        names=found.enable_dns_support and found.enable_dns_hostnames,
        subnets=tuple(Subnet(subnet, way(subnet, tables)) for subnet in subnets),
    )


def way(subnet: str, tables: Sequence[Table]) -> str:
    """Where the default route of a subnet goes: by its own table, else by the VPC's main one."""
    own = [table for table in tables if subnet in table.subnets]
    return next((table.way for table in own or [table for table in tables if table.main]), "")


def wrong(vpc: Vpc, egress: str) -> str:
    """Why nodes would not work in it; "" where they would."""
    if not vpc.names:
        return f"{vpc.id} has DNS support or DNS host names off: switch both on"
    ways = [subnet.way for subnet in vpc.subnets]
    lacks = f"{vpc.id} has no subnet in {vpc.zone}"
    if "internet" not in ways:
        return f"{lacks} whose default route is an internet gateway, which the head needs: add one"
    if egress == "nat" and "elsewhere" not in ways:
        return f"{lacks} whose default route is a NAT gateway: add one, or choose another egress"
    if egress == "none" and "" not in ways:
        return f"{lacks} without a default route: add one, or choose another egress"
    return ""


def chosen(vpc: Vpc, egress: str) -> tuple[str, str]:
    """The public subnet and the private one. Where each node has an address of its own the private one holds EFA
    interfaces alone: the one that nodes behind NAT would be in, so that a cluster that grows keeps it, or any."""
    public, nat, none = _first(vpc, "internet"), _first(vpc, "elsewhere"), _first(vpc, "")
    return public, {"nat": nat, "none": none}.get(egress, nat or none or public)


def _first(vpc: Vpc, wanted: str) -> str:
    return next((subnet.id for subnet in vpc.subnets if subnet.way == wanted), "")


def _table(said: aws.ec2.GetRouteTableResult) -> Table:
    default = [route for route in said.routes if route.cidr_block == "0.0.0.0/0"]
    gateway = default[0].gateway_id if default else ""
    return Table(
        subnets=tuple(each.subnet_id for each in said.associations if each.subnet_id),
        main=any(each.main for each in said.associations),
        way="" if not default else "internet" if (gateway or "").startswith("igw-") else "elsewhere",
    )
