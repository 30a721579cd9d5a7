"""A cluster on AWS of two markets behind a balancer of the cloud's: our verbs, the real engine and Terraform provider,
and moto as AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from account import REGION, AwsUser

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # minutes of waiting for AWS
LONG_S = 400.0
TASK = """
num_nodes: 1
resources: {{infra: aws/{region}/{region}b, instance_type: g6.4xlarge, use_spot: true, image_id: {image}, ports: 8000,
  disk_tier: low}}
config: {{skyrig: {{serve: {{balancer: cloud}}}}}}
run: python3 -m http.server 8000
"""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, aws_url: str) -> Iterator[AwsUser]:
    """Somebody with one spot node on AWS that serves on port 8000, behind AWS's own balancer."""
    made = AwsUser(tmp_path_factory.mktemp("entrance"), f"door{time.monotonic_ns() % 100000}", aws_url)
    file = made.clone / "door.yaml"
    file.write_text(TASK.format(region=REGION, image=made.image()))
    up = made.run("up", "--task", str(file), "-c", made.stack, "-y", timeout=LONG_S)
    assert "spot" in up.told()
    yield made
    made.run("down", "-y", check=None, timeout=LONG_S)


def cluster(person: AwsUser) -> dict[str, Any]:
    return dict(json.loads(person.pulumi("stack", "output", "--json").stdout)["cluster"])


def targets(person: AwsUser) -> dict[int, set[str]]:
    """Instances behind each port of the stack's balancer, past Skyrig."""
    elb = person.client("elbv2")
    [balancer] = elb.describe_load_balancers()["LoadBalancers"]
    found = {}
    for each in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
        group = each["DefaultActions"][0]["TargetGroupArn"]
        health = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        found[each["Port"]] = {one["Target"]["Id"] for one in health}
    return found


def markets(person: AwsUser) -> dict[str, str]:
    """The market of each launch template, by its description: what moto makes of one says nothing of it."""
    ec2 = person.client("ec2")
    found = {}
    for each in ec2.describe_launch_templates(**person.mine)["LaunchTemplates"]:
        [said] = ec2.describe_launch_template_versions(LaunchTemplateId=each["LaunchTemplateId"], Versions=["$Latest"])[
            "LaunchTemplateVersions"
        ]
        options = said["LaunchTemplateData"].get("InstanceMarketOptions", {})
        found[said["VersionDescription"]] = options.get("MarketType", "")
    return found


def test_its_ports_are_reached_at_the_balancer(person: AwsUser) -> None:
    said, there = cluster(person), person.instances()
    assert said["entrance"] not in ("", said["nodes"][0]["host"]) and [node["spot"] for node in said["nodes"]] == [True]
    assert targets(person) == {8000: {there["n0"]["InstanceId"]}}
    [shown] = person.json("status", "-c", person.stack)["clusters"]
    assert shown["endpoints"] == {"8000": f"{said['entrance']}:8000"}
    [balancer] = person.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert balancer["Type"] == "network"
    done = person.pulumi("preview", "--diff", "--expect-no-changes", "--refresh")
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_head_is_behind_the_same_address(person: AwsUser) -> None:
    before, ended = cluster(person), person.instances()["n0"]["InstanceId"]
    person.client("ec2").terminate_instances(InstanceIds=[ended])
    person.run("up", "-y", timeout=LONG_S)
    head = person.instances()["n0"]["InstanceId"]
    assert head != ended and targets(person)[8000] - {ended} == {head}
    after = cluster(person)
    assert after["entrance"] == before["entrance"] and after["nodes"][0]["host"] == before["nodes"][0]["host"]
    assert after["nodes"][0]["incarnation"] != before["nodes"][0]["incarnation"]


def test_a_steady_node_beside_a_spot_one_and_a_port_more(person: AwsUser) -> None:
    head = person.instances()["n0"]["InstanceId"]
    config = person.clone / "stacks" / f"Pulumi.{person.stack}.yaml"
    text = config.read_text()
    person.pulumi("config", "set", "--path", "skyrig:nodes[1]", "n1=ondemand/1")
    assert config.read_text() != text
    up = person.run("up", "--ports", "9000", "-y", timeout=LONG_S)
    assert "2 nodes" in up.told() and "of which 1 on demand" in up.told()
    there = person.instances()
    assert sorted(there) == ["n0", "n1"] and there["n0"]["InstanceId"] == head
    assert markets(person) == {"The head of a Skyrig cluster": "spot", "Nodes of a Skyrig cluster, ondemand": ""}
    assert [node["spot"] for node in cluster(person)["nodes"]] == [True, False]
    assert targets(person) == {8000: {head}, 9000: {head}}


def test_down_leaves_nothing(person: AwsUser) -> None:
    person.run("down", "-y", timeout=LONG_S)
    elb = person.client("elbv2")
    assert elb.describe_load_balancers()["LoadBalancers"] == [] == elb.describe_target_groups()["TargetGroups"]
    assert person.instances() == {} and person.client("ec2").describe_addresses(**person.mine)["Addresses"] == []
