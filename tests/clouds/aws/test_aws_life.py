"""The life of a cluster on AWS: our verbs, the real engine and SDK, the real Terraform provider, and moto as AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from account import REGION, AwsUser

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # minutes of waiting for AWS
PRICE = 0.8048
"""USD an hour of a g6.xlarge on demand (skyrig/catalog/data/prices.csv)."""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, aws_url: str) -> Iterator[AwsUser]:
    """Somebody with an AWS account and a cluster of three small GPU nodes there, which they were asked about."""
    made = AwsUser(tmp_path_factory.mktemp("aws"), f"life{time.monotonic_ns() % 100000}", aws_url)
    words = ["up", "--infra", f"aws/{REGION}/{REGION}b", "-t", "g6.xlarge", "--nodes", "3", "--image-id", made.image()]
    words += ["--disk-tier", "low"]  # moto forgets a throughput that is asked for at a launch
    refused = made.run(*words, check=2)
    assert "costs money" in refused.told() and not made.instances()
    dear = made.run(*words, "-y", "--max-hourly", "2.40", check=2)
    assert "more than the $2.40/h it may" in dear.told() and not made.instances()
    up = made.run(*words, "-y", "--max-hourly", "2.60", "--ttl", "8h", timeout=300)
    assert f"g6.xlarge in {REGION}b, $" in up.told()
    assert up.told().count("old; `catalog.refresh` gets today's") == 1, "the price is of July 2026"
    yield made
    made.run("down", "-y", check=None, timeout=300)


def test_it_is_there_as_it_was_asked_for(person: AwsUser) -> None:
    there = person.instances()
    assert sorted(there) == ["n0", "n1", "n2"]
    assert {each["InstanceType"] for each in there.values()} == {"g6.xlarge"}
    templates = person.client("ec2").describe_launch_templates(**person.mine)["LaunchTemplates"]
    for each in templates:  # what moto makes of them at a launch is less than that
        [version] = person.client("ec2").describe_launch_template_versions(
            LaunchTemplateId=each["LaunchTemplateId"], Versions=["$Latest"]
        )["LaunchTemplateVersions"]
        assert version["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"] == "required"
    subnets = person.client("ec2").describe_subnets(**person.mine)["Subnets"]
    assert len(subnets) == 2 and {each["AvailabilityZone"] for each in subnets} == {f"{REGION}b"}
    [cluster] = person.json("status", "-c", person.stack)["clusters"]
    assert (cluster["cloud"], cluster["region"]) == ("aws", REGION)
    assert cluster["hourly_cost"] > 3 * PRICE and [node["name"] for node in cluster["nodes"]] == ["n0", "n1", "n2"]
    outputs = json.loads(person.pulumi("stack", "output", "--json").stdout)["cluster"]
    head, *workers = outputs["nodes"]
    assert head["host"] == there["n0"]["PublicIpAddress"] and not head["jump"]
    for node in workers:  # moto gives every instance a public address; ours asks for none
        assert (node["jump"], node["host"]) == ("n0", there[node["id"]]["PrivateIpAddress"]) == ("n0", node["address"])


def test_what_it_costs_is_known_and_a_node_more_would_be_too_much(person: AwsUser) -> None:
    said = person.json("cost", "-c", person.stack)
    [on] = said["running"]
    assert on["power"] == "up" and 3 * PRICE < on["hourly"] < 2.60 and not said["total"]["at_most"]
    assert said["hourly"] == on["hourly"] and 0 < on["so_far"] == said["total"]["usd"] < 0.5
    refused = person.run("up", "--nodes", "4", "-y", check=2)
    assert "more than the $2.60/h it may" in refused.told() and len(person.instances()) == 3


def test_nothing_changes_where_nothing_was_changed(person: AwsUser) -> None:
    done = person.pulumi("preview", "--expect-no-changes", "--refresh")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_stopped_is_seen_stays_and_starts_again_as_itself(person: AwsUser) -> None:
    before, ec2 = person.instances(), person.client("ec2")
    ec2.stop_instances(InstanceIds=[before["n1"]["InstanceId"], before["n2"]["InstanceId"]])
    ec2.terminate_instances(InstanceIds=[before["n0"]["InstanceId"]])
    [cluster] = person.json("status", "-c", person.stack)["clusters"]
    assert cluster["status"] == "DEGRADED"
    assert {node["name"]: node["status"] for node in cluster["nodes"]} == {
        "n0": "DOWN",
        "n1": "STOPPED",
        "n2": "STOPPED",
    }
    up = person.run("up", "-y", timeout=300)
    assert "n1, n2 stopped and stays so" in up.told() and "$" in up.told()
    repaired = person.instances()
    assert repaired["n0"]["InstanceId"] != before["n0"]["InstanceId"] and repaired["n0"]["State"]["Name"] == "running"
    for node in ("n1", "n2"):
        assert repaired[node]["InstanceId"] == before[node]["InstanceId"]
        assert repaired[node]["State"]["Name"] == "stopped"
    person.run("start", "-y", timeout=300)
    started = person.instances()
    assert {node: each["InstanceId"] for node, each in started.items()} == {
        node: each["InstanceId"] for node, each in repaired.items()
    }
    assert {each["State"]["Name"] for each in started.values()} == {"running"}
    outputs = json.loads(person.pulumi("stack", "output", "--json").stdout)["cluster"]
    assert {node["id"]: node["address"] for node in outputs["nodes"]} == {
        node: each["PrivateIpAddress"] for node, each in started.items()
    }


def test_a_node_is_taken_away_only_by_a_yes_of_its_own(person: AwsUser) -> None:
    there = person.instances()
    refused = person.run("up", "--nodes", "2", check=2, timeout=120)
    assert f"{person.stack}-aws-main-n2-1 would be deleted, with all that is on it" in refused.told()
    assert person.instances().keys() == there.keys()
    assert len(person.json("status", "-c", person.stack)["clusters"][0]["nodes"]) == 3
    assert person.pulumi("preview", "--expect-no-changes").returncode == 0


def test_another_accounts_credentials_change_nothing(person: AwsUser) -> None:
    there = person.instances()
    role = "arn:aws:iam::111122223333:role/other"
    keys = person.client("sts").assume_role(RoleArn=role, RoleSessionName="other")["Credentials"]
    mine = dict(person.env)
    person.env |= {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    try:
        for verb in (["up", "-y"], ["down", "-y"], ["status", "--refresh"]):
            refused = person.run(*verb, check=None, timeout=120)
            assert refused.code == 2 and "belongs to the aws account 123456789012" in refused.told()
        assert person.pulumi("destroy", "-y").returncode != 0
    finally:
        person.env = mine
    assert person.instances().keys() == there.keys()


def test_down_leaves_nothing(person: AwsUser) -> None:
    person.run("down", "-y", timeout=300)
    ec2, mine = person.client("ec2"), person.mine
    assert person.instances() == {}
    assert ec2.describe_vpcs(**mine)["Vpcs"] == [] and ec2.describe_addresses(**mine)["Addresses"] == []
    assert ec2.describe_security_groups(**mine)["SecurityGroups"] == []
    assert ec2.describe_launch_templates(**mine)["LaunchTemplates"] == []
    roles = person.client("iam").list_roles()["Roles"]
    assert [role["RoleName"] for role in roles if person.stack in role["RoleName"]] == []
    assert [one["status"] for one in person.json("status", "-c", person.stack)["clusters"]] == ["DOWN"]
