"""The cases of AWS: what a cluster is asked for, and what the engine is asked for then."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
from registrations import Registration, record

from components.aws.cloud import AwsCloud

FOLDER = Path(__file__).parent
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.json"))
SSM = "aws:ssm/getParameter:getParameter"

MADE: Mapping[str, Mapping[str, Any]] = {
    "aws:ec2/instance:Instance": {"privateIp": "10.42.128.9", "primaryNetworkInterfaceId": "eni-{name}"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:ec2/eip:Eip": {"publicIp": "203.0.113.9"},
    "aws:ec2/vpcEndpoint:VpcEndpoint": {"prefixListId": "pl-{name}"},
    "aws:ec2/placementGroup:PlacementGroup": {"name": "{name}"},
    "aws:lb/loadBalancer:LoadBalancer": {"arn": "arn:of:{name}"},
    "aws:lb/targetGroup:TargetGroup": {"arn": "arn:of:{name}"},
    "aws:iam/role:Role": {"name": "{name}"},
    "aws:iam/instanceProfile:InstanceProfile": {"name": "{name}"},
    "pulumi-python:dynamic/skyrig:HostKey": {"public_key": "ssh-ed25519 {name}", "private_key": "PRIVATE {name}"},
}
"""Computed properties by type."""

_SUBNETS = {"subnet-a": "rtb-public", "subnet-b": "rtb-private", "subnet-c": ""}


def adopted_vpc(
    *, names: bool = True, routes: Mapping[str, str] | None = None
) -> Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """Answers of AWS about a VPC: a public subnet, one behind a NAT gateway, and one on the main table, which goes
    nowhere."""
    ways = routes or {"rtb-public": "igw-1", "rtb-private": "nat-1", "rtb-main": ""}

    def table(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        name = asked["routeTableId"]
        out = {"cidrBlock": "0.0.0.0/0", "gatewayId": "", "natGatewayId": ""}
        out |= {"gatewayId" if ways[name].startswith("igw") else "natGatewayId": ways[name]}
        inside = {"cidrBlock": "10.0.0.0/16", "gatewayId": "local"}
        mine = [{"subnetId": subnet, "main": False} for subnet, its in _SUBNETS.items() if its == name]
        main = [{"subnetId": "", "main": True}] if name == "rtb-main" else []
        return {"associations": mine + main, "routes": [inside, *([out] if ways[name] else [])], "id": name}

    return {
        "aws:ec2/getVpc:getVpc": lambda _: {"enableDnsSupport": True, "enableDnsHostnames": names, "id": "vpc-0"},
        "aws:ec2/getSubnets:getSubnets": lambda _: {"ids": list(reversed(_SUBNETS)), "id": "us-east-1"},
        "aws:ec2/getRouteTables:getRouteTables": lambda _: {"ids": list(ways), "id": "us-east-1"},
        "aws:ec2/getRouteTable:getRouteTable": table,
    }


def args(case: str) -> Any:
    """The CloudArgs of a case."""
    return {**json.loads((FOLDER / "cases" / f"{case}.json").read_text()), "public_key": "ssh-ed25519 CLIENT"}


def registered(asked: Any, **answers: Any) -> tuple[list[Registration], Any]:
    """What a cluster on AWS registers, and its description."""

    def program() -> pulumi.Output[Any]:
        return AwsCloud("dev-aws", asked).description

    known = {SSM: lambda said: {"value": f"ami-of:{said['name']}"}, **adopted_vpc(), **answers}
    return record(program, outputs=MADE, answers=known)
