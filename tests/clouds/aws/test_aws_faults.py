"""What goes wrong on AWS: no capacity for one of several nodes, killed engines, a group that somebody edited."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from account import REGION, AwsUser
from aws_throttle import throttled
from killing import killed_when

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # minutes of waiting for AWS
START_S = 240.0


@pytest.fixture
def person(tmp_path: Path, aws_url: str) -> Iterator[AwsUser]:
    """Somebody with an AWS account, in a stack of their own; nothing of it stays."""
    made = AwsUser(tmp_path, f"fault{time.monotonic_ns() % 1000000}", aws_url)
    yield made
    made.run("down", "-y", check=None, timeout=300)


def words(person: AwsUser, nodes: int) -> list[str]:
    """An up of so many small GPU nodes that was agreed to."""
    place = ["--infra", f"aws/{REGION}/{REGION}a", "-t", "g6.xlarge", "--nodes", str(nodes)]
    return ["up", *place, "--image-id", person.image(), "--disk-tier", "low", "-y"]


def known(person: AwsUser) -> dict[str, str]:
    """Instances that the stack knows, by node id."""
    nodes = person.json("status", "-c", person.stack)["clusters"][0]["nodes"]
    assert len({node["name"] for node in nodes}) == len(nodes)
    return {node: each["InstanceId"] for node, each in person.instances().items()}


def test_no_capacity_for_the_third_of_four_leaves_nothing_that_is_paid_for(person: AwsUser) -> None:
    said = "api error InsufficientInstanceCapacity: We currently do not have sufficient capacity"
    person.env["BRIDGE_FAIL"] = f"{person.stack}-aws-main-n2-1:create:{said}:1.0"
    up = person.run(*words(person, 4), check=3, timeout=START_S)
    assert f"aws has no g6.xlarge in {REGION}a now (InsufficientInstanceCapacity)" in up.told()
    assert "try another --zone, --region or --cloud" in up.told()
    assert person.instances() == {}
    ec2 = person.client("ec2")
    assert ec2.describe_vpcs(**person.mine)["Vpcs"] == [] == ec2.describe_addresses(**person.mine)["Addresses"]
    del person.env["BRIDGE_FAIL"]


def test_an_aws_that_is_asked_too_much_is_asked_again(person: AwsUser, aws_url: str) -> None:
    """First by its provider, as often as that is told to, then by a run of the engine that keeps what is made."""
    with throttled(aws_url, "RunInstances", 4) as way:
        person.env |= {"AWS_ENDPOINT_URL": way.url, "AWS_MAX_ATTEMPTS": "2"}
        up = person.run(*words(person, 2), timeout=START_S)
        assert way.refused == 4
    person.env["AWS_ENDPOINT_URL"] = aws_url
    assert "aws is asked too much (RequestLimitExceeded): again in 5 s" in up.told()
    assert sorted(known(person)) == ["n0", "n1"] and len(person.instances()) == 2


def test_an_engine_killed_while_it_makes_instances_makes_none_twice(person: AwsUser) -> None:
    killed_when(person, words(person, 3), lambda: len(person.instances()) >= 2)
    before = {each["InstanceId"] for each in person.instances().values()}
    up = person.run("up", "-y", timeout=START_S)
    assert "was being made when an earlier run was cut off" in up.told()
    reservations = person.client("ec2").describe_instances(**person.mine)["Reservations"]
    running = [each["InstanceId"] for group in reservations for each in group["Instances"]
               if each["State"]["Name"] == "running"]  # fmt: skip
    assert len(running) == 3 and sorted(known(person)) == ["n0", "n1", "n2"] and before <= set(running)


def test_a_killed_destroy_goes_on_and_an_edited_group_is_put_right(person: AwsUser) -> None:
    person.run(*words(person, 2), timeout=START_S)
    ec2 = person.client("ec2")
    groups = {each["GroupId"]: each for each in ec2.describe_security_groups(**person.mine)["SecurityGroups"]}
    head = next(name for name, each in groups.items() if "22" in str(each["IpPermissions"]))
    wide = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=head, IpPermissions=[wide])
    person.run("up", "-y", timeout=START_S)
    [now] = ec2.describe_security_groups(GroupIds=[head])["SecurityGroups"]
    assert "0.0.0.0/0" not in str([each for each in now["IpPermissions"] if each.get("FromPort") == 22])

    killed_when(person, ["down", "-y"], lambda: len(person.instances()) < 2)
    person.run("down", "-y", timeout=START_S)
    assert person.instances() == {} and ec2.describe_vpcs(**person.mine)["Vpcs"] == []
