"""What cannot be made on Google Cloud is refused at preview, by property path, before anything is registered."""

from __future__ import annotations

import copy
from typing import Any

import pulumi
import pytest
from gcp_cases import case, registered

from components.gcp.wrong import wrong

WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("g2-l4-spot", {"machine.account": ""}, "machine.account", "a project is wanted"),
    ("g2-l4-spot", {"machine.zone": "europe-west4-a"}, "machine.zone", "is not in us-central1"),
    ("g2-l4-spot", {"machine.ssh_from": []}, "machine.ssh_from", "nobody could log in"),
    ("g2-l4-spot", {"machine.ssh_from": ["0.0.0.0/0"]}, "machine.ssh_from", "is everybody"),
    ("g2-l4-spot", {"machine.ssh_from": ["::/0"]}, "machine.ssh_from", "is everybody"),
    ("g2-l4-spot", {"machine.ssh_from": ["2001:db8::/32"]}, "machine.ssh_from", "an IPv4 address alone"),
    ("g2-l4-spot", {"machine.instance_type": "g2-standard-9"}, "machine.instance_type", "did you mean g2-standard-"),
    ("g2-l4-spot", {"machine.disk_tier": "ultra"}, "machine.disk_tier", "no boot disks of tier ultra"),
    ("g2-l4-spot", {"machine.capacity": "block/x"}, "machine.capacity", "blocks are of AWS"),
    ("g2-l4-spot", {"machine.capacity": "often"}, "machine.capacity", "is not known"),
    ("g2-l4-spot", {"nodes": []}, "nodes", "are none"),
    ("a3-highgpu-flex", {"machine.capacity": "flex/599"}, "machine.capacity", "from 600 to 604800 seconds"),
    ("a3-highgpu-flex", {"machine.capacity": "flex/604801"}, "machine.capacity", "from 600 to 604800 seconds"),
    ("a3-highgpu-flex", {"power": "stopped"}, "power", "ended, not stopped"),
    ("a3-edgegpu-tcpx", {"machine.capacity": "flex/3600"}, "machine.capacity", "not sold by flex start"),
    ("a3-highgpu-tcpx", {"machine.image": ""}, "machine.image", "linux-gcp-tcpx"),
    ("a3-highgpu-tcpx", {"machine.image": "docker:nvcr.io/x"}, "machine.image", "linux-gcp-tcpx"),
    ("a4-highgpu-rdma", {"machine.instance_type": "a4x-highgpu-4g"}, "machine.instance_type", "NVLink domains"),
    ("tpu-v5e-16", {"machine.instance_type": "ct5lp-hightpu-4t"}, "machine.instance_type", "named by their slice"),
    ("tpu-v5e-16", {"machine.instance_type": "v5litepod-32"}, "nodes", "8 hosts; 4 nodes of group main fill none"),
    ("tpu-v5e-16", {"balancer": "cloud", "ports": ["8000"]}, "balancer", "no balancer before TPU VMs"),
    ("g2-l4-balanced", {"ports": ["8000-8020"]}, "balancer", "20 ports at most, and not before 21"),
    ("tpu-v5e-16", {"power": "stopped"}, "power", "cannot be stopped"),
    ("tpu-v5e-16", {"machine.image": "projects/p/global/images/i"}, "machine.image", "runtime version"),
]


def changed(name: str, changes: dict[str, Any]) -> Any:
    args: Any = copy.deepcopy(case(name))
    for path, value in changes.items():
        at, _, last = path.rpartition(".")
        (args[at] if at else args)[last] = value
    return args


@pytest.mark.parametrize(("name", "changes", "path", "said"), WRONG, ids=lambda part: str(part)[:40])
def test_wrong_args(name: str, changes: dict[str, Any], path: str, said: str) -> None:
    assert said in wrong(changed(name, changes))[path]


def test_all_problems_are_told_at_once_and_nothing_is_registered() -> None:
    args = changed("g2-l4-spot", {"machine.account": "", "machine.ssh_from": ["0.0.0.0/0"]})
    with pytest.raises(pulumi.InputPropertiesError, match=r"machine\.account.*machine\.ssh_from"):
        registered(args)


def test_a_standard_network_needs_no_special_image() -> None:
    assert wrong(changed("a3-highgpu-tcpx", {"machine.image": "", "machine.network_tier": "standard"})) == {}


SEVERAL: dict[str, Any] = {
    "gcp:compute/getNetwork:getNetwork": {
        "selfLink": "link of lab",
        "subnetworksSelfLinks": [
            f"https://c.example/projects/p/regions/us-central1/subnetworks/{name}" for name in ("a", "b")
        ],
    },
    "gcp:compute/getSubnetwork:getSubnetwork": {"ipCidrRange": "10.0.0.0/16"},
}


def test_a_network_with_several_subnets_takes_the_one_that_is_named() -> None:
    made, _ = registered(changed("a3-megagpu-adopted", {"machine.network": "lab:b"}), answers=SEVERAL)
    first = [each.inputs["networkInterfaces"][0]["subnetwork"] for each in made if each.type.endswith(":Instance")]
    assert [link.rsplit("/", 1)[-1] for link in first] == ["b", "b"]


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("lab", "lab has a, b: lab:SUBNET is wanted"),
        ("lab:c", "lab has a, b"),
        ("projects/p/global/networks/lab", "a, b"),
    ],
)
def test_a_network_with_several_subnets_wants_one_named(network: str, said: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=rf"machine\.network: .*{said}"):
        registered(changed("a3-megagpu-adopted", {"machine.network": network}), answers=SEVERAL)


def test_a_range_that_leaves_no_room_for_the_fabric_is_told() -> None:
    full = {**SEVERAL, "gcp:compute/getSubnetwork:getSubnetwork": {"ipCidrRange": "10.0.0.0/8"}}
    with pytest.raises(pulumi.InputPropertiesError, match=r"machine\.network: 10\.0\.0\.0/8 leaves no room"):
        registered(changed("a3-megagpu-adopted", {"machine.network": "lab:b"}), answers=full)
