"""What clusters on AWS register, against golden files that were read line by line; SKYRIG_GOLDEN=1 writes them anew."""

from __future__ import annotations

import base64
import gzip
import inspect
import json
import os
from collections.abc import Mapping
from typing import Any

import pytest
from aws_cases import CASES, FOLDER, args, registered
from pulumi_aws import ec2, lb
from registrations import SECRET, Registration, golden

from components.aws.wrong import wrong
from skyrig.catalog import egress, instances, sources
from skyrig.cluster.description import from_json

UNTAGGED = {
    "aws:ec2/routeTableAssociation:RouteTableAssociation", "aws:ec2/eipAssociation:EipAssociation",
    "aws:ec2transitgateway/instanceState:InstanceState", "aws:iam/rolePolicy:RolePolicy",
    "aws:lb/targetGroupAttachment:TargetGroupAttachment", "pulumi-python:dynamic/skyrig:HostKey",
    "pulumi:providers:aws",
}  # fmt: skip
"""What takes no tags."""


NESTED: Mapping[str, Mapping[str, Any]] = {
    "LaunchTemplate": {
        "networkInterfaces": ec2.LaunchTemplateNetworkInterfaceArgs,
        "placement": ec2.LaunchTemplatePlacementArgs,
        "metadataOptions": ec2.LaunchTemplateMetadataOptionsArgs,
        "instanceMarketOptions": ec2.LaunchTemplateInstanceMarketOptionsArgs,
        "capacityReservationSpecification": ec2.LaunchTemplateCapacityReservationSpecificationArgs,
        "iamInstanceProfile": ec2.LaunchTemplateIamInstanceProfileArgs,
        "tagSpecifications": ec2.LaunchTemplateTagSpecificationArgs,
    },
    "Instance": {"rootBlockDevice": ec2.InstanceRootBlockDeviceArgs, "launchTemplate": ec2.InstanceLaunchTemplateArgs},
    "SecurityGroup": {"ingress": ec2.SecurityGroupIngressArgs, "egress": ec2.SecurityGroupEgressArgs},
    "RouteTable": {"routes": ec2.RouteTableRouteArgs},
    "LoadBalancer": {"subnetMappings": lb.LoadBalancerSubnetMappingArgs},
    "TargetGroup": {"healthCheck": lb.TargetGroupHealthCheckArgs},
    "Listener": {"defaultActions": lb.ListenerDefaultActionArgs},
}
"""The SDK's own types of what is passed as plain dictionaries."""


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, list[Registration], Any]:
    made, described = registered(args(request.param))
    return request.param, made, described


def of_type(made: list[Registration], kind: str) -> list[Registration]:
    return [each for each in made if each.type.endswith(f":{kind}")]


def test_as_in_the_golden_file(case: tuple[str, list[Registration], Any]) -> None:
    name, made, described = case
    file = FOLDER / "golden" / f"{name}.json"
    text = golden(made) + json.dumps(described | {"records": ""}, indent=1, sort_keys=True) + "\n"
    if os.environ.get("SKYRIG_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_described(case: tuple[str, list[Registration], Any]) -> None:
    name, _, described = case
    cluster = from_json(described)
    asked = args(name)
    assert [node.id for node in cluster.nodes] == [node["id"] for node in asked["nodes"]]
    assert cluster.head.host == "203.0.113.9" and cluster.head.jump == ""
    assert all(node.jump == "n0" and node.host == node.address for node in cluster.nodes[1:])
    assert bool(cluster.fabric.env) == (asked["machine"]["network_tier"] == "best")


def test_everything_is_tagged(case: tuple[str, list[Registration], Any]) -> None:
    _, made, _ = case
    assert len(made) > 15
    for each in made:
        if each.type.startswith("skyrig:") or each.type in UNTAGGED:
            continue
        tags = each.inputs["tags"]
        assert (tags["skyrig-stack"], tags["skyrig-owner"], tags["skyrig-task"]) == ("dev", "ada", "train"), each.name
        assert tags["team"] == "ml"
    for instance in of_type(made, "Instance"):
        assert instance.inputs["tags"]["skyrig-node"] in ("n0", "n1")
        assert instance.inputs["rootBlockDevice"]["tags"] == instance.inputs["tags"]


def test_safe(case: tuple[str, list[Registration], Any]) -> None:
    _, made, _ = case
    for group in of_type(made, "SecurityGroup"):
        for rule in group.inputs["ingress"]:
            open_to_all = "0.0.0.0/0" in rule.get("cidrBlocks", ())
            assert not (open_to_all and rule["fromPort"] <= 22 <= rule["toPort"])
    for template in of_type(made, "LaunchTemplate"):
        assert template.inputs["metadataOptions"]["httpTokens"] == "required"
    for instance in of_type(made, "Instance"):
        assert instance.inputs["rootBlockDevice"]["encrypted"] is True
        assert SECRET in instance.inputs["userDataBase64"]
        text = gzip.decompress(base64.b64decode(instance.inputs["userDataBase64"]["value"])).decode()
        assert text.count("PRIVATE") == 1 and f"PRIVATE {instance.name}-key" in text
    for policy in of_type(made, "RolePolicy"):
        for allowed in json.loads(policy.inputs["policy"])["Statement"]:
            assert "*" not in str(allowed["Action"]) and allowed["Resource"] != "*"


def test_every_name_in_a_dictionary_is_the_sdks(case: tuple[str, list[Registration], Any]) -> None:
    """Plain dictionaries are passed on as they are: a misspelt name would reach the provider."""
    _, made, _ = case
    looked = 0
    for each in made:
        for name, shape in NESTED.get(each.type.rsplit(":", 1)[1], {}).items():
            given = each.inputs.get(name) or []
            known = {_camel(word) for word in inspect.signature(shape).parameters} | {"self"}
            for entry in given if isinstance(given, list) else [given]:
                assert set(entry) <= known, f"{each.name}: {name}"
                looked += 1
    assert looked > 8


def _camel(word: str) -> str:
    first, *rest = word.split("_")
    return first + "".join(part.title() for part in rest)


def test_efa_stands_where_it_can(case: tuple[str, list[Registration], Any]) -> None:
    """One addressed interface first; all EFA interfaces in one subnet, each at a place of its own; no wish for an
    address where there are several."""
    name, made, _ = case
    for template in of_type(made, "LaunchTemplate"):
        interfaces: list[Mapping[str, Any]] = template.inputs["networkInterfaces"]
        assert interfaces[0]["interfaceType"] == "interface"
        places = [(each["networkCardIndex"], each["deviceIndex"]) for each in interfaces]
        assert places[0] == (0, 0) and len(set(places)) == len(places)
        adapters = [each for each in interfaces if each["interfaceType"] == "efa-only"]
        assert len(adapters) == len(interfaces) - 1 and len({each["subnetId"] for each in adapters}) <= 1
        assert all("associatePublicIpAddress" not in each for each in interfaces) or len(interfaces) == 1
        if args(name)["machine"]["network_tier"] == "best":
            assert adapters
    expected = name in ("p5-efa", "p4d-spot", "trn1-efa", "adopted")
    assert bool(of_type(made, "PlacementGroup")) == expected


def test_each_node_is_bought_on_the_market_of_its_group() -> None:
    """A steady head beside nodes that the cloud may take back: two templates, one of them with a market; the cluster
    costs what both do, and cannot be stopped, as none with a spot instance can."""
    made, described = registered(args("g6-mixed"))
    markets = {each.name: "instanceMarketOptions" in each.inputs for each in of_type(made, "LaunchTemplate")}
    assert sorted(markets.values()) == [False, True]
    launched = {each.name: each.inputs["instanceInitiatedShutdownBehavior"] for each in of_type(made, "Instance")}
    assert launched == {"dev-aws-ondemand-n0-1": "stop", "dev-aws-main-n1-1": "terminate"}
    cluster = from_json(described)
    assert [node.spot for node in cluster.nodes] == [False, True]
    price = sources.find("aws", "us-east-1", "g6.4xlarge")
    assert price is not None and price.on_demand is not None and price.spot is not None
    way = egress.hourly("aws", "nat", 2)
    assert cluster.hourly_cost == pytest.approx(price.on_demand + price.spot + way)
    assert cluster.power.refused and cluster.power.end_itself


def test_a_type_that_is_not_sold_as_spot_is_no_spot_node(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = args("g6-mixed")
    kind = instances.find("aws", "g6.4xlarge")
    monkeypatch.setitem(kind.facts, "usage_classes", ["on-demand"])  # type: ignore[arg-type]
    asked["machine"]["capacity"], asked["nodes"][1]["group"] = "on-demand", "spot"
    assert wrong(asked) == {"nodes": "g6.4xlarge is not sold as spot"}
    asked["nodes"][1]["group"] = "main"
    assert wrong(asked) == {}
