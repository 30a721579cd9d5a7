"""What clusters on Nebius register, against golden files. SKYRIG_UPDATE_GOLDEN=1 writes them anew, for review."""

from __future__ import annotations

import os
from typing import Any

import pulumi
import pytest
from nebius_cases import HERE, case, of_type, registered
from pulumi.provider.experimental.analyzer import Analyzer

from components.nebius.bucket import NebiusBucket
from components.nebius.cloud import NebiusCloud
from components.nebius.group import NebiusNodeGroup
from components.nebius.machines import NebiusMachines
from components.nebius.network import NebiusNetwork
from components.nebius.wrong import wrong
from skyrig.cluster.description import from_json
from tests.clouds.registrations import SECRET, golden, record

CASES = sorted(file.stem for file in (HERE / "cases").glob("*.json"))
ALL = (NebiusBucket, NebiusCloud, NebiusMachines, NebiusNetwork, NebiusNodeGroup)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    args = case(name)
    made, described = registered(args)
    text, file = golden(made), HERE / "golden" / f"{name}.json"
    if os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1":
        file.write_text(text)
    assert text == file.read_text()
    cluster = from_json(described)
    assert [node.id for node in cluster.nodes] == [node["id"] for node in args["nodes"]]
    assert cluster.head.host == "203.0.113.9" and not cluster.head.jump
    assert {node.jump for node in cluster.nodes[1:]} <= {cluster.head.id}
    assert {node.power for node in cluster.nodes} == {args["power"]}


def test_eight_h100_join_one_gpu_cluster_on_a_fabric_of_their_region() -> None:
    """docs.nebius.com/compute/clusters/gpu: VMs join a GPU cluster, which is on one InfiniBand fabric, when they are
    made; the variables are those of SkyPilot's constants (data/nebius/fabric.json names the sources)."""
    made, described = registered(case("h100-infiniband"))
    [gpus] = of_type(made, "ComputeV1GpuCluster").values()
    assert gpus.inputs["infinibandFabric"] == "fabric-2"
    for machine in of_type(made, "ComputeV1Instance").values():
        assert machine.inputs["gpuCluster"] == {"id": f"{gpus.name}-id"}
        assert machine.inputs["resources"] == {"platform": "gpu-h100-sxm", "preset": "8gpu-128vcpu-1600gb"}
        assert machine.inputs["recoveryPolicy"] == "FAIL"
    fabric = from_json(described).fabric
    assert fabric.kind == "infiniband"
    assert fabric.env["NCCL_IB_HCA"] == "mlx5" and fabric.env["UCX_NET_DEVICES"].count("mlx5_") == 8


def test_a_zone_names_the_fabric_and_spot_is_preemptible() -> None:
    made, described = registered(case("h100-fabric-named-spot"))
    [gpus] = of_type(made, "ComputeV1GpuCluster").values()
    assert gpus.inputs["infinibandFabric"] == "fabric-6"
    for machine in of_type(made, "ComputeV1Instance").values():
        assert machine.inputs["preemptible"] == {"onPreemption": "STOP"}
    assert all(node.spot for node in from_json(described).nodes)


def test_without_the_best_tier_there_is_no_gpu_cluster() -> None:
    args = case("h100-infiniband")
    args["machine"]["network_tier"] = "standard"
    made, described = registered(args)
    assert not [each for each in made if "GpuCluster" in each.type]
    assert from_json(described).fabric.kind == "none"


def test_the_head_alone_lets_people_in() -> None:
    made, _ = registered(case("h100-reservation"))
    rules = of_type(made, "VpcV1SecurityRule")
    ssh = [each.inputs["ingress"] for name, each in rules.items() if "-head-ssh" in name]
    assert sorted(len(each["sourceCidrs"]) for each in ssh) == [2, 8], "eight networks a rule"
    assert {tuple(each["destinationPorts"]) for each in ssh} == {(22,)}
    machines = {name[-5:]: each.inputs for name, each in of_type(made, "ComputeV1Instance").items()}
    assert [len(nic["securityGroups"]) for each in machines.values() for nic in each["networkInterfaces"]] == [1, 2]
    assert machines["n1-v1"]["reservationPolicy"]["policy"] == "STRICT"
    assert "reservationPolicy" not in machines["n0-v1"], "its group is on demand"
    assert "publicIpAddress" not in machines["n1-v1"]["networkInterfaces"][0]


def test_user_data_is_a_secret_with_no_key_but_the_hosts() -> None:
    made, _ = registered(case("h100-infiniband"))
    for machine in of_type(made, "ComputeV1Instance").values():
        text = machine.inputs["cloudInitUserData"]
        assert SECRET in text
        told = str(text)
        assert told.count("HOST PRIVATE KEY") == 1 and "PRIVATE" not in told.replace("HOST PRIVATE KEY", "")


def test_nothing_of_the_token_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEBIUS_IAM_TOKEN", "SECRET-TOKEN")
    made, _ = registered(case("l40s-public"))
    assert "SECRET-TOKEN" not in str(made)
    [provider] = of_type(made, "nebius").values()
    assert provider.inputs["parentId"] == "project-e00lab"


def test_a_preview_registers_the_same_and_a_node_less_leaves_the_others() -> None:
    args = case("h100-infiniband")
    made, _ = registered(args)
    previewed, _ = registered(args, preview=True)
    assert [(each.type, each.name) for each in previewed] == [(each.type, each.name) for each in made]
    args["nodes"] = args["nodes"][:1]
    args["machine"]["egress"] = "nat"
    fewer, _ = registered(args)
    kept = [each for each in fewer if "power" not in each.name]
    assert [each.name for each in kept if each not in made] == []


WRONG: dict[str, Any] = {
    "machine.account": {"account": ""},
    "machine.ssh_from": {"ssh_from": ["0.0.0.0/0"]},
    "machine.egress": {"egress": "head-proxy"},
    "machine.region": {"region": "eu-west1"},
    "machine.zone": {"zone": "fabric-9"},
    "machine.capacity": {"capacity": "flex/900"},
    "machine.instance_type": {"instance_type": "gpu-h900"},
    "machine.reaches": {"reaches": ["nebius://data"]},
}


@pytest.mark.parametrize("path", WRONG)
def test_what_nebius_cannot_make_is_refused_by_property(path: str) -> None:
    args = case("h100-infiniband")
    assert wrong(args) == {}
    args["machine"].update(WRONG[path])
    assert path in wrong(args)
    with pytest.raises(pulumi.InputPropertiesError, match=path):
        registered(args)


def test_more_ports_than_rules_can_name_are_refused() -> None:
    args = case("l40s-public")
    assert wrong(args) == {}
    args["ports"] = ["8000-8099"]
    assert "64" in wrong(args)["ports"]


def test_a_persistent_bucket_is_versioned_and_kept() -> None:
    args: Any = {"bucket": "my-data", "project": "p", "labels": {"team": "lab"}, "persistent": True}
    made, url = record(lambda: NebiusBucket("data", args).url)
    said = of_type(made, "StorageV1Bucket")["data-bucket"].inputs
    assert url == "nebius://my-data" and said["versioningPolicy"] == "ENABLED" and said["parentId"] == "p"
    assert [rule["id"] for rule in said["lifecycleConfiguration"]["rules"]] == ["unfinished", "old"]


def test_components_have_a_schema() -> None:
    found: Any = Analyzer("skyrig").analyze(list(ALL))
    definitions = found["component_definitions"]
    assert set(definitions) == {component.__name__ for component in ALL}
    assert all(definition.description for definition in definitions.values())
