"""What Oracle Cloud's components say, and what they refuse before anything is made."""

from __future__ import annotations

import base64
import json
from typing import Any

import pulumi
import pytest
from oci_cases import TENANCY, case, of_type, registered

from components.oci.identity import statements
from components.oci.image import newest
from components.oci.wrong import wrong
from components.wanted import CloudArgs
from skyrig.catalog import fabrics, instances
from skyrig.clouds.oci import shapes
from skyrig.clouds.oci.names import cluster_name
from skyrig.cluster.description import from_json
from tests.clouds.registrations import SECRET


@pytest.fixture(autouse=True)
def _of_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_TENANCY_OCID", TENANCY)


def changed(name: str, args: dict[str, Any] | None = None, **machine: Any) -> CloudArgs:
    """A case with other arguments."""
    found: Any = case(name)
    return {**found, **(args or {}), "machine": {**found["machine"], **machine}}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (changed("h100-roce", image=""), "BM.GPU.H100.8 needs an image with RDMA software"),
        (changed("h100-roce", instance_type="BM.GPU.GB200.4"), "made out of GPU memory clusters"),
        (changed("h100-roce", capacity="spot"), "is a whole machine, which is never preemptible"),
        (changed("cpu-nat", capacity="flex/600"), "flex is not sold by Oracle Cloud"),
        (changed("cpu-nat", egress="head-proxy"), "head-proxy is not made on Oracle Cloud"),
        (changed("cpu-nat", ssh_from=["0.0.0.0/0"]), "is everybody: name your own networks"),
        (changed("cpu-nat", ssh_from=[]), "nobody could log in"),
        (changed("cpu-nat", image="ubuntu-24.04"), "an image's OCID (ocid1.image...) or docker:IMAGE is wanted"),
        (changed("cpu-nat", instance_type="VM.Standard.E4"), "not an instance type of oci"),
        (changed("cpu-nat", account=""), "a compartment is wanted"),
        (changed("cpu-nat", disk_gb=20), "boot volumes have 50 GB at least"),
        (changed("cpu-nat", {"balancer": "cloud"}), "the oci cloud has no balancer of its own"),
        (changed("a10-spot", {"power": "stopped"}), "a preemptible instance cannot be stopped"),
        (changed("a10-mixed", {"power": "stopped"}), "a preemptible instance cannot be stopped"),
        (changed("cpu-nat", {"nodes": []}), "are none"),
    ],
)
def test_what_cannot_be_made_is_refused_with_its_reason(args: CloudArgs, said: str) -> None:
    told = wrong(args)
    assert len(told) == 1 and said in next(iter(told.values()))


def test_rdma_is_left_alone_where_it_is_not_asked_for() -> None:
    args = changed("h100-roce", network_tier="standard", image="")
    assert wrong(args) == {}
    made, described = registered(args)
    assert not [each for each in made if each.type.endswith("ComputeCluster")]
    assert from_json(described).fabric.kind == "none"
    assert all("computeClusterId" not in each.inputs for each in of_type(made, "Instance").values())


def test_a_type_has_a_fabric_environment_of_its_own() -> None:
    for name in ("BM.GPU4.8", "BM.GPU.A100-v2.8", "BM.GPU.H100.8", "BM.GPU.H200.8", "BM.GPU.B200.8", "BM.GPU.MI300X.8"):
        kind = instances.find("oci", name)
        env = fabrics.of(kind, "best").env
        assert env["NCCL_IB_GID_INDEX"] == "3" and env["NCCL_IB_HCA"].startswith("=mlx5_")
        assert env["NCCL_IB_HCA"].count("mlx5_") == kind.facts["rdma_nics"], name


def test_a_flexible_shape_gets_half_as_many_ocpus_as_it_has_vcpus() -> None:
    assert shapes.of_type("VM.Standard.E4.Flex$_4_16") == shapes.Shape("VM.Standard.E4.Flex", 2, 16)
    assert shapes.of_type("BM.GPU.H100.8") == shapes.Shape("BM.GPU.H100.8")
    described = {"shape": "VM.Standard.E4.Flex", "shapeConfig": {"ocpus": 2.0, "memoryInGBs": 16.0}}
    assert shapes.type_of(described) == "VM.Standard.E4.Flex$_4_16"


def test_each_node_is_bought_on_the_market_of_its_group() -> None:
    made, described = registered(case("a10-mixed"))
    spot = {name for name, each in of_type(made, "Instance").items() if "preemptibleInstanceConfig" in each.inputs}
    assert spot == {"dev-oci-machines-main-n1-v1", "dev-oci-machines-main-n2-v1"}
    assert [node.spot for node in from_json(described).nodes] == [False, True, True]


def test_a_node_may_end_itself_and_no_other_one() -> None:
    found = statements("ocid1.dynamicgroup.oc1..g", "ocid1.compartment.oc1..c", [])
    own = [each for each in found if "INSTANCE_" in each]
    assert len(own) == 1 and own[0].endswith("where request.instance.id = target.instance.id")
    assert all(" where " in each and "in compartment id ocid1.compartment.oc1..c" in each for each in found)
    assert not any(verb in " ".join(found) for verb in ("any-user", "manage instances", "manage all-resources"))
    in_root = statements("g", "ocid1.tenancy.oc1..t", [])
    assert all(" in tenancy where " in each for each in in_root)


def test_identities_are_written_in_the_home_region() -> None:
    made, _ = registered(case("cpu-nat"))
    providers = {each.name: each.inputs["region"] for each in made if each.type == "pulumi:providers:oci"}
    assert providers == {"dev-oci-provider": "us-ashburn-1", "dev-oci-home": "eu-frankfurt-1"}
    [group] = of_type(made, "DynamicGroup").values()
    ids = [f"dev-oci-machines-main-{node}-v1-id" for node in ("n0", "n1")]
    assert group.inputs["matchingRule"] == "ANY {" + ", ".join(f"instance.id = '{each}'" for each in ids) + "}"
    assert group.inputs["compartmentId"] == TENANCY


def test_nothing_is_let_in_but_by_the_security_groups() -> None:
    made, _ = registered(case("cpu-nat"))
    [closed] = of_type(made, "SecurityList").values()
    assert not {"ingressSecurityRules", "egressSecurityRules"} & closed.inputs.keys()
    assert all(each.inputs["securityListIds"] == [f"{closed.name}-id"] for each in of_type(made, "Subnet").values())
    rules = of_type(made, "NetworkSecurityGroupSecurityRule").values()
    everybody = [each for each in rules if each.inputs.get("source") == "0.0.0.0/0" and each.inputs["protocol"] == "6"]
    assert [each.inputs["tcpOptions"]["destinationPortRange"] for each in everybody] == [{"min": 8000, "max": 8010}]
    assert everybody[0].inputs["networkSecurityGroupId"] == "dev-oci-firewall-head-id"


def test_a_vcn_that_is_there_is_looked_at_and_left_alone() -> None:
    made, _ = registered(case("adopted"))
    assert not {"Vcn", "Subnet", "RouteTable", "SecurityList"} & {each.type.rpartition(":")[2] for each in made}
    nics = [each.inputs["createVnicDetails"] for each in of_type(made, "Instance").values()]
    assert [nic["subnetId"] for nic in nics] == ["ocid1.subnet.oc1.iad.front", "ocid1.subnet.oc1.iad.back"]
    with pytest.raises(pulumi.InputPropertiesError, match="it has front, other, back; the head takes a public one"):
        registered(changed("adopted", network="ocid1.vcn.oc1.iad.lab"))


def test_what_a_node_is_told_is_secret_and_whole() -> None:
    made, _ = registered(case("a10-spot"))
    for each in of_type(made, "Instance").values():
        told = each.inputs["metadata"]
        assert SECRET in told and "HOST PRIVATE KEY" not in json.dumps(told)
        text = base64.b64decode(told["value"]["user_data"] if "value" in told else told["user_data"]).decode()
        assert "HOST PRIVATE KEY" in text and "/opt/skyrig/ready" in text
        assert len(json.dumps(told)) < 32_000  # docs.oracle.com: metadata of an instance


def test_the_newest_whole_image_is_taken() -> None:
    images = [{"display_name": "Canonical-Ubuntu-24.04-Minimal-1", "id": "a"}, {"display_name": "x-24.04-1", "id": "b"}]
    assert newest(images) == "b" and newest(None) == ""
    with pytest.raises(ValueError, match="no Ubuntu image"):
        newest(images[:1])


def test_names_of_two_stacks_are_two_names() -> None:
    assert cluster_name("a.b") != cluster_name("a-b") and len(cluster_name("x" * 100)) <= 25
