"""Pure functions of the Google Cloud components, and the facts that they read."""

from __future__ import annotations

import ipaddress
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.gcp import disks, gpudirect, image, ranges, scheduling
from skyrig.catalog import costs, egress, fabrics, facts, instances, power
from skyrig.clouds.gcp import names
from skyrig.cluster.machine import DISK_TIERS, Capacity

TYPES = instances.of_cloud("gcp")
OFFERED = {name: kind for name, kind in TYPES.items() if "unsupported" not in kind.facts}


@pytest.mark.parametrize("name", [name for name, kind in TYPES.items() if kind.facts.get("networks")])
def test_interfaces_are_as_many_as_the_source_says(name: str) -> None:
    kind = TYPES[name]
    networks = gpudirect.networks(kind, "best", "us-central1-a")
    assert 1 + gpudirect.subnets(networks) == kind.facts["nics"]
    assert gpudirect.networks(kind, "standard", "us-central1-a") == ()
    assert gpudirect.mtu(kind, "best") == {"tcpx": 8244, "tcpxo": 8244, "rdma": 8896}[kind.fabric]
    assert gpudirect.mtu(kind, "standard") == 1460


def test_every_fabric_type_has_networks_or_says_why_not() -> None:
    gpu_fabrics = {name for name, kind in TYPES.items() if kind.fabric in ("tcpx", "tcpxo", "rdma")}
    assert gpu_fabrics and all(
        "networks" in TYPES[name].facts or "unsupported" in TYPES[name].facts for name in gpu_fabrics
    )


def test_the_environment_names_the_data_interfaces() -> None:
    """One interface of the environment for each data network, and never the one for control."""
    for kind, data in (("tcpx", "NCCL_GPUDIRECTTCPX_SOCKET_IFNAME"), ("tcpxo", "NCCL_FASTRAK_IFNAME")):
        said = facts.of("gcp", "fabric")[kind]
        assert said["env"][data].split(",") == said["interfaces"]
        assert said["env"]["NCCL_SOCKET_IFNAME"] not in said["interfaces"]
    tcpx = facts.of("gcp", "fabric")["tcpx"]
    for bindings in ("TX", "RX"):
        bound = tcpx["env"][f"NCCL_GPUDIRECTTCPX_{bindings}_BINDINGS"].split(";")
        assert [each.partition(":")[0] for each in bound] == tcpx["interfaces"]
    assert len(tcpx["pci"]) == 4 and sum(len(pair["gpus"]) for pair in tcpx["pci"]) == 8


def test_fabrics_are_described_by_tier() -> None:
    kind = TYPES["a3-megagpu-8g"]
    assert fabrics.of(kind, "standard").kind == "none" and fabrics.of(kind, "best").kind == "tcpxo"
    assert fabrics.of(kind, "best").env["NCCL_FASTRAK_CTRL_DEV"] == "enp0s12"


@pytest.mark.parametrize("taken", [ranges.MAIN, "10.0.0.0/16", "10.64.0.0/10", "192.168.0.0/24"])
def test_ranges_do_not_overlap(taken: str) -> None:
    nets = [ipaddress.IPv4Network(each) for each in ranges.fabric_ranges(9, taken)]
    assert len(nets) == 9
    assert not any(a.overlaps(b) for a, b in itertools.combinations([*nets, ipaddress.IPv4Network(taken)], 2))


def test_a_range_that_leaves_no_room_is_told() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8 leaves no room"):
        ranges.fabric_ranges(9, "10.0.0.0/8")


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True),
)
def test_names_are_those_of_google(stack: str, node: str) -> None:
    cluster = names.cluster_name(stack)
    assert re.fullmatch(r"[a-z][a-z0-9-]{4,24}[a-z0-9]", cluster)
    machine = names.machine_name(cluster, node, 12)
    assert len(machine) <= 63 and re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", machine)
    assert re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", names.role_id(cluster))


def test_no_stack_is_another_ones_beginning() -> None:
    """Who may end machines whose names begin with one cluster's name ends none of another."""
    stacks = ["a", "a-b", "A", "a.b", "a_b", "dev", "dev-1", "a" * 63, "a" * 62]
    clusters = [names.cluster_name(stack) for stack in stacks]
    assert not any(b.startswith(f"{a}-") for a, b in itertools.permutations(clusters, 2))
    assert len(set(clusters)) == len(stacks)


@given(st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9_.:/-]{0,62}", fullmatch=True), st.text(max_size=80)))
def test_labels_are_those_of_google(tags: dict[str, str]) -> None:
    for name, value in names.labels(tags).items():
        assert re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name) and re.fullmatch(r"[a-z0-9_-]{0,63}", value)


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_every_offered_type_has_image_and_disk(name: str) -> None:
    kind = OFFERED[name]
    assert image.boot_image(kind, "")
    if kind.fabric != "tpu-ici":
        assert disks.disk_type(name, "medium") and disks.disk_type(name, "best")
    assert image.boot_image(kind, "projects/p/global/images/mine") == "projects/p/global/images/mine"
    assert image.boot_image(kind, "docker:ubuntu") == image.boot_image(kind, "")


def test_disk_tiers_are_complete_and_of_the_longest_family() -> None:
    for family, tiers in facts.of("gcp", "disks")["families"].items():
        assert set(tiers) == set(DISK_TIERS), family
    assert disks.disk_type("a3-ultragpu-8g", "medium") == "hyperdisk-balanced"
    assert disks.disk_type("a3-megagpu-8g", "medium") == "pd-balanced"


def test_scheduling_by_capacity() -> None:
    gpu, cpu = TYPES["a3-megagpu-8g"], TYPES["n2-standard-8"]
    assert scheduling.scheduling(gpu, Capacity(), False)["on_host_maintenance"] == "TERMINATE"
    assert scheduling.scheduling(cpu, Capacity(), False)["on_host_maintenance"] == "MIGRATE"
    spot = scheduling.scheduling(gpu, Capacity("spot"), False)
    assert (spot["provisioning_model"], spot["instance_termination_action"]) == ("SPOT", "STOP")
    assert not spot["automatic_restart"]
    flex = scheduling.scheduling(gpu, Capacity("flex", "3600"), False)
    assert flex["max_run_duration"] == {"seconds": 3600} and flex["instance_termination_action"] == "DELETE"
    held = Capacity("reservation", "mine")
    assert scheduling.scheduling(gpu, held, False)["provisioning_model"] == "STANDARD"
    assert scheduling.scheduling(TYPES["a4-highgpu-8g"], held, False)["provisioning_model"] == "RESERVATION_BOUND"
    assert scheduling.scheduling(gpu, Capacity(), True)["automatic_restart"] is False
    affinity = scheduling.affinity(held)
    assert affinity and affinity["specific_reservation"]["values"] == ["mine"]
    assert scheduling.affinity(Capacity()) is None and scheduling.affinity(Capacity("spot")) is None
    assert scheduling.affinity(Capacity("flex", "3600")) == {"type": "NO_RESERVATION"}


def test_compact_placement_goes_with_the_fabric() -> None:
    kind = TYPES["a3-megagpu-8g"]
    assert gpudirect.compact(kind, "best", "on-demand") and gpudirect.compact(kind, "best", "spot")
    assert not gpudirect.compact(kind, "standard", "on-demand")
    assert not gpudirect.compact(kind, "best", "reservation") and not gpudirect.compact(kind, "best", "flex")
    assert not gpudirect.compact(TYPES["a3-ultragpu-8g"], "best", "on-demand")


def test_power_by_capacity_and_type() -> None:
    assert power.of(TYPES["a3-megagpu-8g"], Capacity()).stop_itself
    flex = power.of(TYPES["a3-megagpu-8g"], Capacity("flex", "3600"))
    assert flex.refused and not flex.stop_itself and flex.end_itself
    tpu = power.of(TYPES["v5litepod-16"], Capacity())
    assert tpu.refused and not tpu.stop_itself and not tpu.end_itself and not tpu.end


def test_prices_of_gateways_and_tpus() -> None:
    assert egress.hourly("gcp", "none", 3) == pytest.approx(0.005)
    assert egress.hourly("gcp", "public-outbound", 3) == pytest.approx(0.015)
    assert egress.hourly("gcp", "nat", 3) == pytest.approx(0.005 + 0.005 + 2 * 0.0014)
    assert egress.hourly("gcp", "nat", 64) == pytest.approx(0.005 + 0.005 + 0.044)
    assert costs.hourly("gcp", "us-central1", "v5litepod-16", False, 4, "none") == pytest.approx(16 * 1.2 + 0.005)


def test_slices_have_whole_hosts() -> None:
    for name, kind in TYPES.items():
        if "slice_chips" in kind.facts:
            assert kind.facts["slice_hosts"] * kind.accelerator_count == kind.facts["slice_chips"], name
    assert TYPES["v5litepod-16"].facts["slice_hosts"] == 4
