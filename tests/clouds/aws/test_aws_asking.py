"""What AWS is asked beside the engine: real boto3 against moto."""

from __future__ import annotations

import pytest

from skyrig.clouds import cloud
from skyrig.clouds.aws import session
from skyrig.clouds.cloud import NotUsable
from skyrig.errors import SkyrigError

pytestmark = pytest.mark.usefixtures("aws_here")


@pytest.fixture(autouse=True)
def _clients_of_this_test() -> None:
    session.client.cache_clear()


def tagged(kind: str, stack: str, **more: str) -> list[dict[str, object]]:
    """Tags of a thing of a stack, as EC2 takes them at a create."""
    tags = {"skyrig-stack": stack, **{name.replace("_", "-"): value for name, value in more.items()}}
    return [{"ResourceType": kind, "Tags": [{"Key": name, "Value": value} for name, value in tags.items()]}]


def instances(stack: str, region: str, *node_ids: str) -> dict[str, str]:
    """Instances of a stack by node id."""
    ec2 = session.client("ec2", region)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    made = {}
    for node_id in node_ids:
        said = ec2.run_instances(
            ImageId=image, InstanceType="g6.xlarge", MinCount=1, MaxCount=1,
            TagSpecifications=tagged("instance", stack, skyrig_node=node_id, Name=f"{stack}-{node_id}"),
        )  # fmt: skip
        made[node_id] = said["Instances"][0]["InstanceId"]
    return made


def test_whose_credentials_they_are() -> None:
    assert cloud.of("aws").account("us-east-1") == "123456789012"


def test_zones_that_have_a_type() -> None:
    zones = cloud.of("aws").zones("us-east-1", "p5.48xlarge")
    assert zones and set(zones) <= {f"us-east-1{letter}" for letter in "abcdef"} and list(zones) == sorted(zones)


def test_machines_are_told_by_tag_and_by_what_they_are_now() -> None:
    made = instances("seen", "us-east-2", "n0", "n1", "n2")
    instances("another", "us-east-2", "n0")
    ec2 = session.client("ec2", "us-east-2")
    ec2.stop_instances(InstanceIds=[made["n1"]])
    ec2.terminate_instances(InstanceIds=[made["n2"]])
    seen = {each.node_id: each for each in cloud.of("aws").machines("seen", "us-east-2")}
    assert {node: (each.machine, each.power) for node, each in seen.items()} == {
        "n0": (made["n0"], "up"),
        "n1": (made["n1"], "stopped"),
    }
    assert seen["n0"].private


def test_another_account_sees_nothing_that_says_anything() -> None:
    made = instances("theirs", "us-east-2", "n0")
    assert cloud.of("aws", "123456789012").machines("theirs", "us-east-2")[0].machine == made["n0"]
    with pytest.raises(NotUsable, match="belongs to account 111122223333, the credentials here to 123456789012"):
        cloud.of("aws", "111122223333").machines("theirs", "us-east-2")


@pytest.mark.usefixtures("placement_groups")
def test_what_is_left_is_named_with_its_price_and_removed_in_order() -> None:
    region, stack = "eu-west-1", "left"
    ec2 = session.client("ec2", region)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc", stack))["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", TagSpecifications=tagged("subnet", stack))
    gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", stack))
    ec2.attach_internet_gateway(InternetGatewayId=gateway["InternetGateway"]["InternetGatewayId"], VpcId=vpc)
    ec2.create_security_group(
        GroupName="left", Description="x", VpcId=vpc, TagSpecifications=tagged("security-group", stack)
    )
    ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", stack))
    made = instances(stack, region, "n0")
    aws = cloud.of("aws")
    left = aws.leftovers(stack, region)
    assert [each.kind for each in left if each.kind != "volume"] == [
        "instance", "address", "internet gateway", "subnet", "security group", "VPC",
    ]  # fmt: skip
    assert left[0].id == made["n0"]
    aws.remove(stack, region, left)
    assert aws.leftovers(stack, region) == []


def test_a_cut_off_create_is_found_by_its_tags() -> None:
    region = "us-west-2"
    made = instances("cut", region, "n0", "n1")
    kind = "aws:ec2/instance:Instance"
    tags = {"skyrig-stack": "cut", "skyrig-node": "n1", "Name": "cut-n1"}
    aws = cloud.of("aws")
    assert aws.find(kind, {"tags": tags}, region) == made["n1"]
    assert aws.find(kind, {"tags": {**tags, "Name": "cut-n7"}}, region) is None
    session.client("ec2", region).terminate_instances(InstanceIds=[made["n1"]])
    assert aws.find(kind, {"tags": tags}, region) is None
    with pytest.raises(SkyrigError, match="without tags"):
        aws.find(kind, {}, region)
    with pytest.raises(SkyrigError, match="nobody knows"):
        aws.find("aws:sqs/queue:Queue", {"tags": tags}, region)


def balanced(stack: str, region: str, *ports: int) -> dict[str, str]:
    """A balancer with its listeners, as the component makes them; ARNs by kind and port."""
    ec2, elb = session.client("ec2", region), session.client("elbv2", region)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    mine = [{"Key": "skyrig-stack", "Value": stack}, {"Key": "skyrig-owner", "Value": "ada"}]
    said = elb.create_load_balancer(Name=f"sky-{stack}", Type="network", Subnets=[subnet], Tags=mine)
    made = {"balancer": said["LoadBalancers"][0]["LoadBalancerArn"]}
    for port in ports:
        tags = [*mine, {"Key": "skyrig-port", "Value": str(port)}]
        group = elb.create_target_group(Name=f"sky-{stack}-{port}", Protocol="TCP", Port=port, VpcId=vpc, Tags=tags)
        made[f"targets {port}"] = group["TargetGroups"][0]["TargetGroupArn"]
        forward = [{"Type": "forward", "TargetGroupArn": made[f"targets {port}"]}]
        listener = elb.create_listener(
            LoadBalancerArn=made["balancer"], Protocol="TCP", Port=port, DefaultActions=forward
        )
        made[f"listener {port}"] = listener["Listeners"][0]["ListenerArn"]
    return made


@pytest.mark.usefixtures("placement_groups")
def test_a_balancer_is_found_by_its_tags_and_goes_before_what_it_stands_on() -> None:
    region = "ca-central-1"
    made, other = balanced("door", region, 8000, 9000), balanced("theirs", region, 8000)
    aws, tags = cloud.of("aws"), {"skyrig-stack": "door", "skyrig-owner": "ada"}
    assert aws.find("aws:lb/loadBalancer:LoadBalancer", {"tags": tags}, region) == made["balancer"]
    for port in (8000, 9000):
        of_port = {**tags, "skyrig-port": str(port)}
        assert aws.find("aws:lb/targetGroup:TargetGroup", {"tags": of_port}, region) == made[f"targets {port}"]
        inputs = {"tags": of_port, "loadBalancerArn": made["balancer"], "port": port}
        assert aws.find("aws:lb/listener:Listener", inputs, region) == made[f"listener {port}"]
        assert aws.find("aws:lb/targetGroupAttachment:TargetGroupAttachment", {"port": port}, region) is None
    with pytest.raises(SkyrigError, match="without tags"):
        aws.find("aws:lb/targetGroup:TargetGroup", {}, region)
    left = aws.leftovers("door", region)
    assert [(each.kind, each.id) for each in left] == [
        ("balancer", made["balancer"]),
        ("target group", made["targets 8000"]),
        ("target group", made["targets 9000"]),
    ]
    assert [each.hourly for each in left] == [pytest.approx(0.0225), 0.0, 0.0]
    assert {each.owner for each in left} == {"ada"} and left[0].since is not None
    aws.remove("door", region, left)
    assert aws.leftovers("door", region) == []
    assert [each.id for each in aws.leftovers("theirs", region)] == [other["balancer"], other["targets 8000"]]


def test_no_credentials_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(NotUsable, match="no credentials: `aws configure`"):
        cloud.of("aws").account("us-east-1")
