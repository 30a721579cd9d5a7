"""The example that makes a cluster of EKS, on the real engine and the real provider, with moto as AWS."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from account import REGION, AwsUser
from servers import echo
from user import BIN, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

BLOCK = "cr-0123456789abcdef0"
LONG_S = 900
FORGOTTEN = {"aws:eks/cluster:Cluster": ["upgradePolicy"]}
"""What moto does not tell of what was made, so that it would be set again: EKS tells it."""


@pytest.fixture
def lab(tmp_path: Path, aws_url: str, placement_groups: None) -> AwsUser:
    """Somebody with an account, and the example as a program of their own. Helm's releases are an echo's: no API server
    is behind the cluster."""
    person = AwsUser(tmp_path, "eks", aws_url)
    echo(tmp_path / "plugins", "kubernetes")
    shutil.copytree(ROOT / "examples" / "kubernetes", tmp_path / "lab")
    (tmp_path / "state").mkdir()
    person.env |= {
        "ECHO_LOG": str(tmp_path / "echo.jsonl"),
        "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_PYTHON_CMD": str(BIN / "python"),
    }
    return person


def engine(person: AwsUser) -> Callable[..., str]:
    """Runs a command of the engine in the program's folder: what it says."""

    def run(*words: str) -> str:
        command = [str(BIN / "pulumi"), *words, "-s", person.stack, "--non-interactive"]
        folder = person.clone.parent / "lab"
        done = subprocess.run(
            command, cwd=folder, env=person.env, capture_output=True, timeout=LONG_S, check=False, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_it_comes_is_as_it_was_asked_for_and_goes(lab: AwsUser) -> None:
    pulumi = engine(lab)
    pulumi("stack", "init")
    pulumi("config", "set", "region", REGION)
    pulumi("config", "set", "block", BLOCK)
    pulumi("config", "set", "--path", "openTo[0]", "198.51.100.0/24")
    pulumi("up", "--yes", "--skip-preview")
    subnets = network(lab)
    control_plane(lab, subnets)
    nodes(lab, subnets[0])
    kubeconfig = json.loads(pulumi("stack", "output", "kubeconfig", "--show-secrets"))
    assert kubeconfig["users"][0]["user"]["exec"]["command"] == "aws"
    assert kubeconfig["current-context"] == lab.stack, "what --infra kubernetes/NAME names"
    assert lab.client("eks").list_clusters()["clusters"][0] in kubeconfig["users"][0]["user"]["exec"]["args"]
    assert "get-token" not in pulumi("stack", "export"), "the kubeconfig is a secret"
    lines = [json.loads(line) for line in Path(lab.env["ECHO_LOG"]).read_text().splitlines()]
    made = [each["inputs"] for each in lines if each["op"] == "create" and not each.get("preview")]
    assert {each["chart"] for each in made if "chart" in each} == {"nvidia-device-plugin", "aws-efa-k8s-device-plugin"}
    assert changes(pulumi) == FORGOTTEN
    pulumi("refresh", "--yes", "--skip-preview")
    assert changes(pulumi) == FORGOTTEN
    pulumi("destroy", "--yes", "--skip-preview")
    assert left(lab) == []


def changes(pulumi: Callable[..., str]) -> dict[str, list[str]]:
    """What an update would change: properties by the type of their resource."""
    said = pulumi("preview", "--json")
    steps = json.loads(said[said.index("{") :])["steps"]
    return {
        each["urn"].split("::")[2].rpartition("$")[2]: each["diffReasons"] for each in steps if each["op"] != "same"
    }


def network(lab: AwsUser) -> list[str]:
    """The private subnets, by zone: each leads out through the NAT gateway alone."""
    ec2 = lab.client("ec2")
    mine = {"Filters": [{"Name": "tag:stack", "Values": [lab.stack]}]}
    [vpc] = ec2.describe_vpcs(**mine)["Vpcs"]
    assert vpc["CidrBlock"] == "10.44.0.0/16"
    found = [each for each in ec2.describe_subnets(**mine)["Subnets"] if each["VpcId"] == vpc["VpcId"]]
    private = {each["AvailabilityZone"]: each["SubnetId"] for each in found if each["CidrBlock"] != "10.44.0.0/24"}
    assert sorted(private) == [f"{REGION}a", f"{REGION}b"] and len(found) == 3
    for subnet in private.values():
        associated = {"Filters": [{"Name": "association.subnet-id", "Values": [subnet]}]}
        [table] = ec2.describe_route_tables(**associated)["RouteTables"]
        [out] = [each for each in table["Routes"] if each.get("DestinationCidrBlock") == "0.0.0.0/0"]
        assert "NatGatewayId" in out and "GatewayId" not in out
    return [private[zone] for zone in sorted(private)]


def control_plane(lab: AwsUser, subnets: list[str]) -> None:
    """It is private but for who may ask, and its add-ons and system nodes are there."""
    eks = lab.client("eks")
    [name] = eks.list_clusters()["clusters"]
    cluster = eks.describe_cluster(name=name)["cluster"]
    way = cluster["resourcesVpcConfig"]
    assert cluster["status"] == "ACTIVE" and sorted(way["subnetIds"]) == sorted(subnets)
    assert way["endpointPrivateAccess"] and way["publicAccessCidrs"] == ["198.51.100.0/24"]
    assert set(eks.list_addons(clusterName=name)["addons"]) == {"vpc-cni", "kube-proxy", "coredns"}
    [system] = [each for each in groups(lab) if "launchTemplate" not in each]
    assert system["instanceTypes"] == ["m7i.large"] and system["scalingConfig"]["desiredSize"] == 2


def groups(lab: AwsUser) -> list[dict[str, Any]]:
    """The cluster's node groups."""
    eks = lab.client("eks")
    [name] = eks.list_clusters()["clusters"]
    names = eks.list_nodegroups(clusterName=name)["nodegroups"]
    return [eks.describe_nodegroup(clusterName=name, nodegroupName=each)["nodegroup"] for each in names]


def nodes(lab: AwsUser, subnet: str) -> None:
    """Out of the block, in one subnet, with all EFA interfaces of their type, and labelled for the device plugins."""
    ec2 = lab.client("ec2")
    [group] = [each for each in groups(lab) if "launchTemplate" in each]
    assert group["subnets"] == [subnet] and group["capacityType"] == "CAPACITY_BLOCK"
    assert group["amiType"] == "AL2023_x86_64_NVIDIA" and group["scalingConfig"]["desiredSize"] == 2
    assert group["labels"]["nvidia.com/gpu.present"] == "true"
    assert [each["key"] for each in group["taints"]] == ["nvidia.com/gpu"]
    asked = {"LaunchTemplateId": group["launchTemplate"]["id"], "Versions": [group["launchTemplate"]["version"]]}
    [version] = ec2.describe_launch_template_versions(**asked)["LaunchTemplateVersions"]
    said = version["LaunchTemplateData"]
    cards = [
        (each["NetworkCardIndex"], each["DeviceIndex"], each["InterfaceType"]) for each in said["NetworkInterfaces"]
    ]
    assert said["InstanceType"] == "p5.48xlarge" and cards[0] == (0, 0, "interface")
    assert sorted(card for card, _, kind in cards if kind == "efa-only") == list(range(32))
    assert said["InstanceMarketOptions"]["MarketType"] == "capacity-block" and "Placement" not in said
    target = said["CapacityReservationSpecification"]["CapacityReservationTarget"]
    assert target["CapacityReservationId"] == BLOCK and said["MetadataOptions"]["HttpTokens"] == "required"
    among = {each for nic in said["NetworkInterfaces"] for each in nic["Groups"]} - {""}  # moto's EKS has no group
    [efa] = [each for each in ec2.describe_security_groups(GroupIds=sorted(among))["SecurityGroups"]
             if each["Description"] == "EFA between the nodes"]  # fmt: skip
    for rules in (efa["IpPermissions"], efa["IpPermissionsEgress"]):
        assert [(each["IpProtocol"], each["UserIdGroupPairs"][0]["GroupId"]) for each in rules] == [
            ("-1", efa["GroupId"])
        ]


def left(lab: AwsUser) -> list[str]:
    """What is still there."""
    ec2, iam, mine = lab.client("ec2"), lab.client("iam"), {"Filters": [{"Name": "tag:stack", "Values": [lab.stack]}]}
    found = [each["VpcId"] for each in ec2.describe_vpcs(**mine)["Vpcs"]]
    found += [each["AllocationId"] for each in ec2.describe_addresses(**mine)["Addresses"]]
    found += [each["LaunchTemplateId"] for each in ec2.describe_launch_templates(**mine)["LaunchTemplates"]]
    found += [each["RoleName"] for each in iam.list_roles()["Roles"] if each["RoleName"].startswith(lab.stack)]
    return found + list(lab.client("eks").list_clusters()["clusters"])
