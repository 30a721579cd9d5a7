"""AWS's pure functions: interfaces by type against the catalog, images, disks, policies, and an existing VPC."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import attrs
import moto
import pulumi
import pytest
from aws_cases import FOLDER, MADE, SSM, adopted_vpc, args, registered
from pulumi.provider.experimental.analyzer import Analyzer
from registrations import record

from components.aws import adopted, disks, efa, firewall, image, market, policy
from components.aws.adopted import Subnet, Vpc
from components.aws.balancer import AwsBalancer
from components.aws.boot import host_name
from components.aws.bucket import AwsBucket
from components.aws.cloud import AwsCloud
from components.aws.efa import Interface
from components.aws.firewall import AwsFirewall
from components.aws.group import AwsNodeGroup
from components.aws.identity import AwsIdentity
from components.aws.network import AwsNetwork
from components.aws.wrong import wrong
from components.cluster import Cluster
from components.wanted import ClusterArgs
from skyrig.catalog import egress, fabrics, facts, instances, power
from skyrig.cluster.machine import DISK_TIERS, Capacity

EFA = [kind for kind in instances.of_cloud("aws").values() if efa.wanted(kind, "best")]


@pytest.mark.parametrize(
    ("name", "cards", "adapters", "on_first"),
    [
        ("p4d.24xlarge", 4, 4, 1),
        ("p5.48xlarge", 32, 32, 1),
        ("p5e.48xlarge", 32, 32, 1),
        ("p5en.48xlarge", 16, 16, 1),
        ("p6-b200.48xlarge", 8, 8, 1),
        ("p6-b300.48xlarge", 17, 16, 0),
        ("trn1.32xlarge", 8, 8, 1),
        ("trn1n.32xlarge", 16, 16, 1),
        ("trn2.48xlarge", 16, 16, 1),
        ("g6e.48xlarge", 4, 4, 1),
        ("g6.8xlarge", 1, 1, 1),
    ],
)
def test_every_card_that_has_efa_gets_one(name: str, cards: int, adapters: int, on_first: int) -> None:
    found = efa.interfaces(instances.find("aws", name), "best")
    assert found[0] == Interface(0, 0, "interface") and {each.card for each in found} == set(range(cards))
    only = [each for each in found if each.kind == "efa-only"]
    assert len(only) == adapters == len(found) - 1
    assert [each for each in only if each.card == 0] == [Interface(0, 1, "efa-only")] * on_first
    assert all(each.device == 0 for each in only if each.card)


@pytest.mark.parametrize("kind", EFA, ids=lambda kind: kind.name)
def test_no_type_is_asked_for_more_than_it_has(kind: instances.InstanceType) -> None:
    if not efa.known(kind):
        assert kind.name == "p6e-gb200.36xlarge"
        return
    found = efa.interfaces(kind, "best")
    assert sum(each.kind == "efa-only" for each in found) == kind.facts["efa_max"]
    for card in range(kind.facts["network_cards"]):
        assert 1 <= sum(each.card == card for each in found) <= kind.facts["eni_per_card"]


def test_every_interface_is_of_a_kind_that_its_card_takes() -> None:
    """Against what EC2 says of each network card, as moto keeps it."""
    file = Path(moto.__file__).parent / "ec2" / "resources" / "instance_types.json.gz"
    said = json.loads(gzip.decompress(file.read_bytes()))
    seen = 0
    for kind in EFA:
        if kind.name in said and efa.known(kind):
            network = said[kind.name]["NetworkInfo"]
            cards = {card["NetworkCardIndex"]: card["InterfaceTypes"] for card in network["NetworkCards"]}
            assert network["EfaInfo"]["MaximumEfaInterfaces"] == kind.facts["efa_max"]
            assert all(each.kind in cards[each.card] for each in efa.interfaces(kind, "best")), kind.name
            seen += 1
    assert seen > 20


def test_plain_networking_is_one_interface() -> None:
    assert efa.interfaces(instances.find("aws", "p5.48xlarge"), "standard") == (efa.PRIMARY,)
    assert efa.interfaces(instances.find("aws", "g6.xlarge"), "best") == (efa.PRIMARY,)


def test_the_fabric_has_an_environment() -> None:
    fabric = fabrics.of(instances.find("aws", "p5.48xlarge"), "best")
    assert fabric.kind == "efa" and fabric.env["FI_PROVIDER"] == "efa" and "FI_EFA_USE_DEVICE_RDMA" not in fabric.env
    assert fabrics.of(instances.find("aws", "trn1.32xlarge"), "best").env["FI_EFA_USE_DEVICE_RDMA"] == "1"


@pytest.mark.parametrize("noun", ["disks", "images", "egress", "power", "fabric", "types"])
def test_facts_name_their_date_and_sources(noun: str) -> None:
    said = facts.of("aws", noun)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", said["made"])
    if noun == "types":
        assert [name for name, each in said["types"].items() if not each["source"]] == []
    else:
        assert "sources" in json.dumps(said)


@pytest.mark.parametrize("tier", DISK_TIERS)
def test_disks(tier: str) -> None:
    disk = disks.boot(tier, 256)
    assert disk["encrypted"] is True and disk["volume_size"] == 256 and disks.wrong(tier, 256) == ""
    assert disk["volume_type"] == ("io2" if tier in ("ultra", "best") else "gp3")
    assert ("throughput" in disk) == (tier in ("medium", "high"))
    assert disk.get("iops", 3000) <= (1000 if disk["volume_type"] == "io2" else 500) * disks_least(tier)
    assert disks.wrong(tier, 0)


def disks_least(tier: str) -> int:
    """GiB from which a tier's IOPS can be had; below 6 GiB a gp3 disk has its 3,000 nevertheless."""
    return max(6, int(facts.of("aws", "disks")["tiers"][tier]["size_gib"][0]))


@pytest.mark.parametrize(
    ("name", "wanted", "begins"),
    [
        ("p5.48xlarge", "", "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/"),
        ("g5g.xlarge", "", "/aws/service/deeplearning/ami/arm64/"),
        ("trn1.32xlarge", "", "/aws/service/neuron/dlami/multi-framework/ubuntu-24.04/"),
        ("c6i.2xlarge", "", "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/"),
        ("p5.48xlarge", "docker:nvcr.io/nvidia/pytorch:25.10-py3", "/aws/service/deeplearning/"),
        ("p5.48xlarge", "ami-0123456789abcdef0", "ami-0123456789abcdef0"),
        ("p5.48xlarge", "/golden/image", "/golden/image"),
    ],
)
def test_images(name: str, wanted: str, begins: str) -> None:
    where = image.source(instances.find("aws", name), wanted)
    assert where.startswith(begins) and image.wrong(wanted) == ""
    assert len(image.mark(where)) == 6 and image.mark(where) != image.mark(where + "x")


@pytest.mark.parametrize("kind", instances.of_cloud("aws").values(), ids=lambda kind: kind.name)
def test_every_type_has_an_image(kind: instances.InstanceType) -> None:
    assert image.source(kind, "").startswith("/aws/service/")


def test_markets() -> None:
    assert market.options(Capacity()) == {} and market.placed(Capacity())
    assert market.options(Capacity("spot"))["instance_market_options"]["market_type"] == "spot"
    block = market.options(Capacity("block", "cr-1"))
    assert block["instance_market_options"] == {"market_type": "capacity-block"}
    assert not market.placed(Capacity("block", "cr-1")) and not market.placed(Capacity("reservation", "cr-1"))
    assert block["capacity_reservation_specification"]["capacity_reservation_target"] == {
        "capacity_reservation_id": "cr-1"
    }
    assert "instance_market_options" not in market.options(Capacity("reservation", "cr-1"))


def test_what_cannot_stop_ends_instead() -> None:
    kind = instances.find("aws", "p5.48xlarge")
    assert power.of(kind, Capacity("spot")).refused and power.of(kind, Capacity("spot")).end_itself
    assert power.of(kind, Capacity("block", "cr-1")).stop_itself == ""
    assert power.of(kind, Capacity()).stop_itself and not power.of(kind, Capacity("reservation", "cr-1")).refused
    assert egress.hourly("aws", "nat", 2) == pytest.approx(0.055)


def test_policies() -> None:
    rights = policy.of_nodes("dev", "cn-north-1", "123456789012", ["data"])["Statement"]
    assert [each["Sid"] for each in rights] == ["EndItself", "Buckets", "Objects"]
    assert rights[0]["Resource"] == "arn:aws-cn:ec2:cn-north-1:123456789012:instance/*"
    assert rights[0]["Condition"]["StringEquals"] == {"aws:ResourceTag/skyrig-stack": "dev"}
    assert rights[0]["Condition"]["ArnLike"]["ec2:SourceInstanceARN"].endswith(":instance/${ec2:InstanceID}")
    assert rights[2]["Resource"] == ["arn:aws-cn:s3:::data/*"]
    assert policy.partition("us-gov-west-1") == "aws-us-gov" and policy.partition("eu-central-1") == "aws"


def test_firewall_rules() -> None:
    rules = firewall.inward(["198.51.100.0/24", "2001:db8::/48"], ["8000", "9000-9010"])
    assert rules[0]["cidr_blocks"] == ["198.51.100.0/24"] and rules[0]["ipv6_cidr_blocks"] == ["2001:db8::/48"]
    assert [(rule["from_port"], rule["to_port"]) for rule in rules] == [(22, 22), (8000, 8000), (9000, 9010)]
    assert firewall.outward([]) == [] and firewall.outward(["pl-1"])[0]["prefix_list_ids"] == ["pl-1"]


def test_host_names() -> None:
    assert host_name("My.Stack-n0") == "my-stack-n0" and len(host_name("x" * 90 + "-n0")) == 63


def test_an_existing_vpc() -> None:
    subnets = (Subnet("subnet-a", "internet"), Subnet("subnet-b", "elsewhere"), Subnet("subnet-c", ""))
    vpc = Vpc("vpc-1", "us-east-1a", True, subnets)
    assert adopted.chosen(vpc, "nat") == ("subnet-a", "subnet-b")
    assert adopted.chosen(vpc, "none") == ("subnet-a", "subnet-c")
    assert adopted.chosen(vpc, "public-outbound") == ("subnet-a", "subnet-b")
    assert adopted.chosen(attrs.evolve(vpc, subnets=subnets[:1]), "public-outbound") == ("subnet-a", "subnet-a")
    assert [adopted.wrong(vpc, way) for way in ("nat", "none", "public-outbound")] == ["", "", ""]
    assert "DNS" in adopted.wrong(attrs.evolve(vpc, names=False), "nat")
    assert "internet gateway" in adopted.wrong(attrs.evolve(vpc, subnets=subnets[1:]), "nat")
    assert "NAT" in adopted.wrong(attrs.evolve(vpc, subnets=subnets[:1]), "nat")
    assert "without a default route" in adopted.wrong(attrs.evolve(vpc, subnets=subnets[:2]), "none")


def test_an_existing_vpc_is_refused_by_its_property() -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=r"machine\.network: vpc-.*DNS") as said:
        registered(args("adopted"), **adopted_vpc(names=False))
    assert [each["property_path"] for each in said.value.errors] == ["machine.network"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "machine.region": ({"region": "us-east", "zone": "us-east-1a"}, "no region"),
    "machine.zone": ({"zone": "us-west-2a"}, "not in us-east-1"),
    "machine.account": ({"account": "12"}, "12 digits"),
    "machine.image": ({"image": "ubuntu"}, "docker:IMAGE"),
    "machine.disk_gb": ({"disk_gb": 10, "disk_tier": "ultra"}, "io2 holds 20"),
    "machine.network": ({"network": "default"}, "no VPC"),
    "machine.egress": ({"egress": "head-proxy"}, "not made on AWS"),
    "machine.ssh_from": ({"ssh_from": ["0.0.0.0/0"]}, "everybody"),
    "machine.labels": ({"labels": {"aws:x": "1"}}, "AWS's own"),
    "machine.instance_type": ({"instance_type": "p5.48xlarg"}, "p5.48xlarge"),
    "machine.capacity": ({"capacity": "block/cr-0123456789abcdef0", "instance_type": "g6.xlarge"}, "capacity-block"),
    "machine.network_tier": ({"network_tier": "best", "instance_type": "p6e-gb200.36xlarge"}, "not known"),
}


@pytest.mark.parametrize("path", REFUSED)
def test_bad_args_are_refused_by_path(path: str) -> None:
    asked = args("g6")
    change, said = REFUSED[path]
    found = wrong({**asked, "machine": {**asked["machine"], **change}})
    assert list(found) == [path] and said in found[path]


def test_spot_cannot_be_stopped() -> None:
    assert "cannot be stopped" in wrong({**args("p4d-spot"), "power": "stopped"})["power"]
    assert wrong({**args("p5-efa"), "power": "stopped"}) == {}


def test_every_bad_arg_is_said_at_once() -> None:
    asked = args("g6")
    with pytest.raises(pulumi.InputPropertiesError) as said:
        registered({**asked, "machine": {**asked["machine"], "zone": "", "account": "x", "ssh_from": []}})
    paths = [each["property_path"] for each in said.value.errors]
    assert sorted(paths) == ["machine.account", "machine.ssh_from", "machine.zone"]


def test_a_bucket_is_private_and_kept_if_wanted() -> None:
    asked: Any = {"bucket": "", "region": "us-east-1", "persistent": True, "noncurrent_days": 30, "tags": {"a": "b"}}
    outputs = {"aws:s3/bucket:Bucket": {"bucket": "skyrig-x"}}
    made, name = record(lambda: AwsBucket("data", asked).bucket, outputs=outputs)
    by_type = {each.type.rsplit(":", 1)[1]: each.inputs for each in made}
    assert name == "skyrig-x" and len(made) == 8
    assert by_type["Bucket"]["forceDestroy"] is False and by_type["Bucket"]["bucketPrefix"] == "skyrig-data-"
    shut = by_type["BucketPublicAccessBlock"]
    assert all(
        shut[key] for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    )
    assert by_type["BucketVersioning"]["versioningConfiguration"] == {"status": "Enabled"}
    assert by_type["BucketLifecycleConfiguration"]["rules"][0]["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert json.loads(by_type["BucketPolicy"]["policy"])["Statement"][0]["Effect"] == "Deny"


def test_components_have_a_schema() -> None:
    components = [AwsBalancer, AwsBucket, AwsCloud, AwsFirewall, AwsIdentity, AwsNetwork, AwsNodeGroup]
    found: Any = Analyzer("skyrig").analyze(components)
    definitions = found["component_definitions"]
    assert set(definitions) == {component.__name__ for component in components}
    for definition in definitions.values():
        assert definition.description
        # The analyzer reads no description of what CloudArgs has from ClusterArgs.
        inherited = len(ClusterArgs.__annotations__) if definition.name == "AwsCloud" else 0
        assert len([name for name, one in definition.inputs.items() if not one.description]) == inherited


def test_cases_are_those_with_golden_files() -> None:
    assert {path.stem for path in FOLDER.glob("cases/*.json")} == {path.stem for path in FOLDER.glob("golden/*.json")}


def test_a_cluster_says_that_a_type_has_no_fabric(caplog: pytest.LogCaptureFixture) -> None:
    asked = {**args("g6"), "cloud": "aws"}
    asked["machine"] = {**asked["machine"], "network_tier": "best"}
    keys = {"pulumi-python:dynamic/skyrig:ClientKey": {"public_key": "ssh-ed25519 CLIENT", "private_key": "PRIVATE"}}
    ami = {SSM: lambda said: {"value": f"ami-of:{said['name']}"}}
    made, _ = record(lambda: Cluster("dev", asked).description, outputs={**MADE, **keys}, answers=ami)
    assert any(each.type == "aws:ec2/instance:Instance" for each in made)
    assert "g6.xlarge has no fabric" in caplog.text
