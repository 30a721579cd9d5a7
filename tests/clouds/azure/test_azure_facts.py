"""Pure functions of the Azure components, against the catalog's facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.azure import image, names, subnets
from components.azure.placing import AVAILABILITY_SET, NONE, PROXIMITY, SCALE_SET, placing, remark
from components.azure.wrong import wrong
from skyrig.catalog import costs, egress, fabrics, facts, instances, power
from skyrig.clouds.azure.names import resource_group
from skyrig.cluster.machine import Capacity

CASES = Path(__file__).parent / "cases"
TYPES = instances.of_cloud("azure")
WITH_IB = sorted(name for name, kind in TYPES.items() if kind.fabric == "infiniband")
LISTED = sorted(facts.of("azure", "types")["types"])
RESERVED = Capacity("reservation", "x")
GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers"
HELD = f"{GROUP}/Microsoft.Compute/capacityReservationGroups/held"
THEIR_SUBNET = f"{GROUP.replace('1111', '9999')}/Microsoft.Network/virtualNetworks/v/subnets/s"


def args(**machine: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CASES / "nd_h100.json").read_text())
    found["machine"].update(machine)
    return found


@pytest.mark.parametrize("name", LISTED)
def test_every_type_says_enough(name: str) -> None:
    kind = TYPES[name]
    assert kind.cpus and kind.source and kind.accelerator
    # An "r" in the name is RDMA; the r of RTX is none.
    assert ("r" in name.split("_")[1].lower().removeprefix("nc").removeprefix("nd")) == (kind.fabric == "infiniband")
    assert kind.facts["ib_nics"] == 0 or kind.fabric == "infiniband"
    if kind.arch == "x86_64":
        assert image.find(kind, "") is not None
    else:
        assert image.find(kind, "") is None


@pytest.mark.parametrize("name", WITH_IB)
def test_infiniband_is_had_with_tier_best_alone(name: str) -> None:
    kind = TYPES[name]
    assert fabrics.of(kind, "standard").kind == "none" and placing(kind, "standard", Capacity()) == NONE
    best = fabrics.of(kind, "best")
    assert best.kind == "infiniband"
    assert best.env["NCCL_IB_HCA"] == "mlx5_ib" and best.env["NCCL_SOCKET_IFNAME"] == "eth0"
    assert placing(kind, "best", Capacity()) == AVAILABILITY_SET  # which takes no spot machine
    assert placing(kind, "best", Capacity("spot")) == SCALE_SET
    assert "NET/IB" in remark(kind, "best", Capacity("spot")) and not remark(kind, "best", Capacity())


@pytest.mark.parametrize(
    ("name", "topology"),
    [
        ("Standard_ND96isr_H100_v5", "/opt/microsoft/ndv5/topo.xml"),
        ("Standard_ND96isr_H200_v5", "/opt/microsoft/ndv5/topo.xml"),
        ("Standard_ND96isr_MI300X_v5", "/opt/microsoft/ndv5/topo.xml"),
        ("Standard_ND96amsr_A100_v4", "/opt/microsoft/ndv4/topo.xml"),
        ("Standard_ND96asr_v4", "/opt/microsoft/ndv4/topo.xml"),
        ("Standard_ND40rs_v2", "/opt/microsoft/ndv2/topo.xml"),
    ],
)
def test_nccl_is_told_the_topology_of_the_type(name: str, topology: str) -> None:
    env = fabrics.of(TYPES[name], "best").env
    assert env["NCCL_TOPO_FILE"] == topology
    assert ("CUDA_DEVICE_ORDER" in env) == ("MI300X" not in name)


def test_types_without_fabric_are_put_near_each_other() -> None:
    kind = TYPES["Standard_NC24ads_A100_v4"]
    assert fabrics.of(kind, "best").kind == "none"
    assert placing(kind, "best", Capacity()) == PROXIMITY == placing(kind, "best", Capacity("spot"))
    assert placing(kind, "best", RESERVED) == NONE
    assert not remark(kind, "best", Capacity()) and not remark(kind, "best", Capacity("spot"))


def test_images() -> None:
    h100, mi300x, a10 = (
        TYPES[f"Standard_{name}"] for name in ("ND96isr_H100_v5", "ND96isr_MI300X_v5", "NV6ads_A10_v5")
    )
    found = image.find(h100, "docker:nvcr.io/nvidia/pytorch:25.01-py3")
    assert found is not None and found.reference["offer"] == "ubuntu-hpc" and found.reference["sku"] == "2204"
    assert image.container("docker:nvcr.io/nvidia/pytorch:25.01-py3") == "nvcr.io/nvidia/pytorch:25.01-py3"
    assert image.container("a:b:c:d") == ""
    assert "security_type" not in image.security(found)
    rocm = image.find(mi300x, "")
    assert rocm is not None and rocm.reference["sku"] == "2204-rocm"
    share = image.find(a10, "")
    assert share is not None and share.driver_extension
    assert image.security(share)["uefi_settings"] == {"secure_boot_enabled": False, "v_tpm_enabled": True}
    cpu = image.find(TYPES["Standard_D4s_v5"], "")
    assert cpu is not None and not cpu.driver_extension
    assert image.security(cpu)["uefi_settings"] == {"secure_boot_enabled": True, "v_tpm_enabled": True}
    own = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/o/images/i/versions/1.0.0"
    for wanted, reference in {
        "a:b:c:latest": {"publisher": "a", "offer": "b", "sku": "c", "version": "latest"},
        own: {"id": own},
        "/communityGalleries/g/images/i": {"community_gallery_image_id": "/communityGalleries/g/images/i"},
    }.items():
        chosen = image.find(h100, wanted)
        assert chosen is not None and chosen.reference == reference
    assert image.find(h100, "ubuntu") is None


@pytest.mark.parametrize(
    ("path", "machine", "reason"),
    [
        ("machine.account", {"account": "mine"}, "subscription"),
        ("machine.region", {"region": "East US"}, "eastus"),
        ("machine.zone", {"zone": "a"}, "1, 2, 3"),
        ("machine.zone", {"zone": "1"}, "availability set"),
        ("machine.disk_tier", {"disk_tier": "ultra"}, "boot disks"),
        ("machine.disk_gb", {"disk_gb": 20}, "64 to 4095"),
        ("machine.ssh_from", {"ssh_from": []}, "whole internet"),
        ("machine.ssh_from", {"ssh_from": ["0.0.0.0/0"]}, "whole internet"),
        ("machine.ssh_from", {"ssh_from": ["198.51.100.0/24", "::/0"]}, "whole internet"),
        ("machine.egress", {"egress": "head-proxy"}, "nat, public-outbound or none"),
        ("machine.network", {"network": "net"}, "GROUP/NETWORK/SUBNET"),
        ("machine.network", {"network": THEIR_SUBNET}, "this subscription"),
        ("machine.labels", {"labels": {"a/b": "c"}}, "a/b"),
        ("machine.labels", {"labels": {f"l{n}": "v" for n in range(46)}}, "45 at most"),
        ("machine.instance_type", {"instance_type": "Standard_ND96isr_H100_v6"}, "mean Standard_ND96isr_H100_v5"),
        ("machine.image", {"image": "ubuntu"}, "no URN"),
        ("machine.image", {"instance_type": "Standard_ND128isr_GB300_v6"}, "name one"),
        ("machine.capacity", {"capacity": "block/cb-1"}, "not sold on Azure"),
        ("machine.capacity", {"capacity": "flex/3600"}, "not sold on Azure"),
        ("machine.capacity", {"capacity": "gold"}, "not known"),
        ("machine.capacity", {"capacity": "reservation/mine"}, "capacity reservation group"),
        ("machine.capacity", {"capacity": f"reservation/{HELD}"}, "takes no capacity reservation"),
        ("machine.egress", {"instance_type": "Standard_NV6ads_A10_v5", "egress": "none"}, "from the internet"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_its_path(path: str, machine: dict[str, Any], reason: str) -> None:
    found = wrong(args(**machine))  # type: ignore[arg-type]
    assert list(found) == [path] and reason in found[path]


def test_everything_wrong_is_told_at_once_and_a_good_cluster_has_nothing() -> None:
    assert wrong(args()) == {}  # type: ignore[arg-type]
    bad = wrong(args(account="", region="", ssh_from=[], image="x", capacity="block/b"))  # type: ignore[arg-type]
    paths = ("account", "region", "ssh_from", "image", "capacity")
    assert set(bad) == {f"machine.{path}" for path in paths}
    many = args()
    many["nodes"] = [{"id": f"n{number}", "group": "main", "version": 1} for number in range(201)]
    assert wrong(many) == {"nodes": "200 at most in one availability set"}  # type: ignore[arg-type]


def test_subnets_are_named_in_two_ways() -> None:
    mine = "11111111-2222-3333-4444-555555555555"
    whole = f"/subscriptions/{mine}/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/N/subnets/S"
    assert subnets.parse("G/N/S", mine) == subnets.parse(whole, mine.upper().lower()) is not None
    assert subnets.parse(whole, "another") is None and subnets.parse("N/S", mine) is None
    assert not subnets.unfit("eastus", "East US", ["172.16.0.0/12"], False, "none", "none")


_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)


@given(_NAMES, st.uuids(), st.from_regex(r"[a-z][a-z0-9-]{2,62}", fullmatch=True))
def test_names_are_as_azure_wants_them(stack: str, subscription: Any, bucket: str) -> None:
    group = resource_group(stack)
    assert len(group) <= 90 and not group.endswith(".")
    account = names.storage_account(stack, str(subscription), bucket)
    assert 3 <= len(account) <= 24 and account.isalnum() and account == account.lower()
    assert account == names.storage_account(stack, str(subscription), bucket)
    assert account != names.storage_account(stack, str(subscription), bucket + "x")
    host = names.host(stack, "n0")
    assert 0 < len(host) <= 63 and host.strip("-") == host


def test_what_stays_paid_for_and_what_it_costs() -> None:
    kind = TYPES["Standard_ND96isr_H100_v5"]
    said = power.of(kind, Capacity("spot"))
    assert said.stop_itself == "sudo /opt/skyrig/stop" and not said.refused
    assert "boot disks" in said.billed_when_stopped
    assert egress.hourly("azure", "nat", 2) == pytest.approx(0.005 + 0.045 + 0.005)
    assert egress.hourly("azure", "public-outbound", 2) == pytest.approx(0.01)
    assert egress.hourly("azure", "none", 2) == pytest.approx(0.005)
    assert costs.hourly("azure", "eastus2", kind.name, False, 2, "nat") == pytest.approx(2 * 98.32 + 0.055)
