"""The components one by one: what anybody's program can use, and what the cluster's own program promises."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from gcp_cases import case, of_type, registered
from pulumi.provider.experimental.analyzer import Analyzer

from components.gcp.balancer import GcpBalancer
from components.gcp.bucket import GcpBucket
from components.gcp.cloud import GcpCloud
from components.gcp.firewall import GcpFirewall
from components.gcp.gateway import GcpGateway
from components.gcp.group import GcpNodeGroup
from components.gcp.identity import GcpIdentity, own_machines
from components.gcp.machines import GcpMachines
from components.gcp.network import GcpNetwork
from components.gcp.slices import GcpSlices
from components.gcp.tpu import GcpTpuGroup
from tests.clouds.registrations import SECRET, record

ALL = (
    GcpBalancer, GcpBucket, GcpCloud, GcpFirewall, GcpGateway, GcpIdentity, GcpMachines, GcpNetwork, GcpNodeGroup,
    GcpSlices, GcpTpuGroup,
)  # fmt: skip


def test_components_have_a_schema() -> None:
    found: Any = Analyzer("skyrig").analyze(list(ALL))
    definitions = found["component_definitions"]
    assert set(definitions) == {component.__name__ for component in ALL}
    for name, definition in definitions.items():
        assert definition.description
        if name != "GcpCloud":  # its arguments are those of all clouds, whose words the analyzer does not inherit
            assert [each for each, one in definition.inputs.items() if not one.description] == []


def test_components_are_imported_without_any_sdk() -> None:
    code = "import sys, components, components.cluster; print([m for m in sys.modules if m.startswith('pulumi_gcp')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_persistent_bucket_is_closed_and_kept() -> None:
    args: Any = {"bucket": "b", "location": "us-central1", "labels": {"team": "lab"}, "persistent": True}
    made, url = record(
        lambda: GcpBucket("data", args).url, outputs={"gcp:storage/bucket:Bucket": {"url": "gs://of {name}"}}
    )
    said = of_type(made, "Bucket")["data-bucket"].inputs
    assert url == "gs://of data-bucket"
    assert said["publicAccessPrevention"] == "enforced" and said["uniformBucketLevelAccess"] is True
    assert said["versioning"] == {"enabled": True} and said["forceDestroy"] is False
    assert [rule["action"]["type"] for rule in said["lifecycleRules"]] == ["AbortIncompleteMultipartUpload", "Delete"]


def test_an_identity_reaches_its_buckets_and_its_machines_alone() -> None:
    args: Any = {
        "cluster": "dev-ef260e", "description": "d", "project": "p", "zone": "z", "ends_itself": True,
        "buckets": ["data", "runs"],
    }  # fmt: skip
    account = {"gcp:serviceaccount/account:Account": {"email": "e", "member": "serviceAccount:e"}}
    made, _ = record(lambda: GcpIdentity("who", args).email, outputs=account)
    assert {each.inputs["bucket"] for each in of_type(made, "BucketIAMMember").values()} == {"data", "runs"}
    assert {each.inputs["role"] for each in of_type(made, "BucketIAMMember").values()} == {"roles/storage.objectUser"}
    (member,) = of_type(made, "IAMMember").values()
    assert member.inputs["condition"]["expression"] == own_machines("p", "z", "dev-ef260e")
    (role,) = of_type(made, "IAMCustomRole").values()
    assert role.inputs["permissions"] == ["compute.instances.delete"]


def test_user_data_is_a_secret_with_no_key_but_the_hosts() -> None:
    made, _ = registered(case("a3-megagpu-tcpxo"))
    for machine in of_type(made, "Instance").values():
        metadata = machine.inputs["metadata"]
        assert SECRET in metadata or SECRET in metadata["user-data"]
        text = str(metadata)
        assert text.count("HOST PRIVATE KEY") == 1 and "PRIVATE" not in text.replace("HOST PRIVATE KEY", "")


def test_names_of_children_hold_their_parents() -> None:
    for name in ("a3-ultragpu-rdma", "tpu-v5e-16"):
        made, _ = registered(case(name))
        assert [each.name for each in made if not each.name.startswith("dev-gcp-")] == []
        assert len({(each.type, each.name) for each in made}) == len(made) >= 10


def test_a_preview_registers_the_same() -> None:
    """With everything unknown that only a cloud says."""
    args = case("a3-megagpu-tcpxo")
    made, _ = registered(args)
    previewed, _ = registered(args, preview=True)
    assert [(each.type, each.name) for each in previewed] == [(each.type, each.name) for each in made]


def test_removing_a_node_leaves_the_others_alone() -> None:
    args = case("cpu-none")
    before, _ = registered(args)
    args["nodes"] = [args["nodes"][0], args["nodes"][2]]
    after, _ = registered(args)
    left = {(each.type, each.name): each.inputs for each in after}
    gone = {each.name for each in before if (each.type, each.name) not in left}
    assert gone == {"dev-gcp-machines-main-n1-v1", "dev-gcp-machines-main-n1-v1-hostkey"}
    power = "dev-gcp-machines-power"
    assert [each.name for each in before if left.get((each.type, each.name), each.inputs) != each.inputs] == [power]


def test_only_the_head_is_let_in_at() -> None:
    for name in ("a3-megagpu-tcpxo", "tpu-v5e-16", "cpu-docker-public"):
        made, _ = registered(case(name))
        rules = of_type(made, "Firewall").values()
        open_to_all = [rule for rule in rules if "0.0.0.0/0" in rule.inputs.get("sourceRanges", [])]
        assert open_to_all == []
        ssh = [rule.inputs for rule in rules if "22" in str(rule.inputs["allows"])]
        assert [rule["sourceRanges"] for rule in ssh] == [["203.0.113.7/32"]]
        assert [rule["targetTags"] for rule in ssh] == [["dev-ef260e-head"]]
