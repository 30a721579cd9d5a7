"""What AWS is found to have with nothing known of any stack: real boto3 against moto, in all its regions."""

from __future__ import annotations

import pytest

from skyrig.clouds import cloud
from skyrig.clouds.aws import session
from skyrig.clouds.aws import tagged as aws_tagged
from skyrig.clouds.cloud import TaggedStack
from skyrig.cluster import owner, shape
from skyrig.errors import BadInput
from skyrig.recovery import reclaiming, tagged
from skyrig.recovery.tagged import Found
from skyrig.stack import sweep

pytestmark = pytest.mark.usefixtures("aws_here")
ACCOUNT = "123456789012"
PRICE = 0.8048
"""USD an hour of a g6.xlarge on demand in us-east-1 (skyrig/catalog/data/prices.csv)."""


@pytest.fixture(autouse=True)
def _clients_of_this_test(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    session.client.cache_clear()
    monkeypatch.setenv("SKYRIG_HOME", f"{tmp_path}/home")
    monkeypatch.setenv("PULUMI_HOME", f"{tmp_path}/pulumi")


def tags(stack: str, whose: str, **more: str) -> list[dict[str, str]]:
    said = {"skyrig-stack": stack, "skyrig-owner": whose, **more}
    return [{"Key": key, "Value": value} for key, value in said.items() if value]


def machine(stack: str, whose: str, region: str) -> str:
    """An instance, with nothing beside it; its id."""
    ec2 = session.client("ec2", region)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    said = ec2.run_instances(
        ImageId=image, InstanceType="g6.xlarge", MinCount=1, MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags(stack, whose, **{"skyrig-node": "n0"})}],
    )  # fmt: skip
    return str(said["Instances"][0]["InstanceId"])


def network(stack: str, whose: str, region: str) -> str:
    """A VPC; its id."""
    said = session.client("ec2", region).create_vpc(
        CidrBlock="10.42.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags(stack, whose)}]
    )
    return str(said["Vpc"]["VpcId"])


def bucket(stack: str, name: str) -> str:
    s3 = session.client("s3", "us-east-1")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags(stack, "")})
    return f"s3://{name}"


def role(stack: str, whose: str, name: str) -> None:
    session.client("iam", "us-east-1").create_role(
        RoleName=name, AssumeRolePolicyDocument="{}", Tags=tags(stack, whose)
    )


def of(stacks: tuple[TaggedStack, ...], *names: str) -> list[TaggedStack]:
    return sorted((each for each in stacks if each.stack in names), key=lambda each: (each.region, each.owner))


@pytest.mark.usefixtures("placement_groups")
def test_all_regions_are_looked_at_and_owners_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"us-east-1", "eu-central-1", "sa-east-1"} < set(aws_tagged._regions("us-east-1"))
    some = ["eu-central-1", "sa-east-1", "us-east-1"]  # moto takes ten seconds for all
    monkeypatch.setattr(aws_tagged, "_regions", lambda home: some)
    first, second = machine("lost", "ada@lab", "us-east-1"), machine("lost", "bob@lab", "us-east-1")
    network("lost", "ada@lab", "us-east-1")
    third = machine("lost", "ada@lab", "eu-central-1")
    role("lost", "ada@lab", "skyrig-lost-1")
    role("bare", "", "skyrig-bare-1")
    kept = bucket("lost-data", "lost-data-0")
    found = cloud.of("aws").tagged(None).stacks
    europe, adas, bobs = of(found, "lost")
    assert [each.owner for each in (europe, adas, bobs)] == ["ada@lab", "ada@lab", "bob@lab"]
    assert {each.account for each in (europe, adas, bobs)} == {ACCOUNT}
    kinds = [(each.kind, each.id) for each in adas.left if each.kind not in ("volume", "VPC")]
    assert kinds == [("instance", first), ("role", "skyrig-lost-1")]
    assert "VPC" in [each.kind for each in adas.left] and adas.since is not None
    assert (adas.machines, adas.hourly >= PRICE, adas.is_priced) == (1, True, True)
    assert [each.id for each in bobs.left if each.kind == "instance"] == [second]
    assert [each.id for each in europe.left if each.kind == "instance"] == [third]
    [data] = of(found, "lost-data")
    assert (data.left, data.kept) == ((), (kept,))
    assert [each.kind for each in of(found, "bare")[0].left] == ["role"]


@pytest.mark.usefixtures("placement_groups")
def test_one_owners_things_go_and_anothers_stay() -> None:
    region, me = "ap-south-1", owner.here()
    mine, theirs = machine("shared", me, region), machine("shared", "bob@lab", region)
    network("shared", me, region), role("shared", me, "skyrig-shared-1")
    told: list[str] = []
    found = [each for each in tagged.find(f"aws/{region}", (), told.append) if each.seen.stack == "shared"]
    assert {each.seen.owner: each.state for each in found} == {
        me: "lost",
        "bob@lab": "theirs",
    } and f"aws: account {ACCOUNT}" in told
    going = reclaiming.chosen(found, None)
    assert [each.mine for each in going] == [True]
    with pytest.raises(BadInput, match="nothing was removed"):
        reclaiming.reclaim(going, told.append, lambda question: False)
    asked: list[str] = []
    reclaiming.reclaim(going, told.append, lambda question: bool(asked.append(question)) or True)
    assert asked[0].startswith(f"remove shared on aws/{region}: 1 machine, ")
    left = session.client("ec2", region).describe_instances(InstanceIds=[mine, theirs])["Reservations"]
    states = {each["InstanceId"]: each["State"]["Name"] for group in left for each in group["Instances"]}
    assert states == {mine: "terminated", theirs: "running"}
    assert [each.owner for each in of(cloud.of("aws").tagged(region).stacks, "shared")] == ["bob@lab"]
    assert f"shared: nothing of it is left on aws/{region}" in told


@pytest.mark.usefixtures("placement_groups")
def test_the_sweep_after_a_destroy_leaves_what_is_somebody_elses() -> None:
    region = "eu-north-1"
    mine, theirs = machine("swept", "ada@lab", region), machine("swept", "bob@lab", region)
    said = {"cloud": "aws", "instanceType": "g6.xlarge", "region": region, "owner": "ada@lab"}
    sweep.sweep("swept", shape.from_config(said), print)
    left = session.client("ec2", region).describe_instances(InstanceIds=[mine, theirs])["Reservations"]
    states = {each["InstanceId"]: each["State"]["Name"] for group in left for each in group["Instances"]}
    assert states == {mine: "terminated", theirs: "running"}


@pytest.mark.usefixtures("placement_groups")
def test_what_stays_is_named_with_its_price(monkeypatch: pytest.MonkeyPatch) -> None:
    region, me = "ap-northeast-1", owner.here()
    vpc = network("stuck", me, region)
    session.client("ec2", region).create_subnet(VpcId=vpc, CidrBlock="10.42.0.0/20")  # somebody's, with no tags
    monkeypatch.setattr(reclaiming, "_PAUSES_S", (0.0, 0.0))
    [found] = [each for each in tagged.find(f"aws/{region}", (), print) if each.seen.stack == "stuck"]
    with pytest.raises(reclaiming.LeftBehind, match=rf"still there, at \$0.0000/h: stuck on aws/{region}: VPC {vpc}"):
        reclaiming.reclaim([found], print, lambda question: True)


def test_a_place_that_is_none_is_refused() -> None:
    for infra in ("awz", "aws/us-east-1/us-east-1a", "local/here"):
        with pytest.raises(BadInput, match="CLOUD or CLOUD/REGION is wanted"):
            tagged.find(infra, (), print)


def test_nothing_of_a_stack_that_was_not_named_is_taken() -> None:
    seen = TaggedStack("a", "aws", "us-east-1", owner=owner.here(), left=(cloud.Leftover("VPC", "vpc-1"),))
    lost, known = Found(seen, known=False, mine=True), Found(seen, known=True, mine=True)
    theirs = Found(seen, known=False, mine=False)
    assert reclaiming.chosen([lost, known, theirs], None) == [lost]
    assert reclaiming.chosen([lost, known, theirs], lambda name: name == "a") == [lost, known, theirs]
    assert reclaiming.chosen([lost, known, theirs], lambda name: name == "b") == []
