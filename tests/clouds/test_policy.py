"""Every golden cluster keeps the rules, and a cluster that does not is found."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import policy
import pytest

HERE = Path(__file__).parent
FILES = sorted(
    file for cloud in ("aws", "gcp", "azure", "oci") for file in (HERE / cloud / "golden").glob("*.json")
    if not file.name.endswith(".cluster.json")
)  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parents[1].name}-{file.stem}")
def test_a_golden_cluster_keeps_the_rules(file: Path) -> None:
    resources = policy.read(file)
    assert len(resources) >= 8
    assert policy.wrong(resources) == []


def test_there_are_golden_clusters_of_every_cloud() -> None:
    assert {file.parents[1].name for file in FILES} == {"aws", "gcp", "azure", "oci"} and len(FILES) >= 20


def broken(cloud: str, name: str, kind: str, **changes: Any) -> list[str]:
    """What is wrong with a golden cluster once inputs of its resources of a kind were changed."""
    resources = copy.deepcopy(policy.read(HERE / cloud / "golden" / f"{name}.json"))
    changed = [each for each in resources if each["type"].endswith(kind)]
    assert changed
    for each in changed:
        each["inputs"].update(changes)  # type: ignore[attr-defined]
    return policy.wrong(resources)


OPEN = [{"protocol": "tcp", "fromPort": 20, "toPort": 30, "cidrBlocks": ["0.0.0.0/0"]}]
WIDE = '{"Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}'


@pytest.mark.parametrize(
    ("cloud", "name", "kind", "changes", "found"),
    [
        ("aws", "g6", ":SecurityGroup", {"ingress": OPEN}, "port 22 is open to 0.0.0.0/0"),
        ("gcp", "g2-l4-spot", ":Firewall", {"sourceRanges": ["0.0.0.0/0"], "allows": [{"protocol": "all"}]}, "port 22"),
        ("aws", "g6", ":Instance", {"rootBlockDevice": {}}, "not encrypted"),
        ("azure", "nd_h100", ":VirtualMachine", {"securityProfile": {}}, "not encrypted"),
        ("aws", "g6", ":LaunchTemplate", {"metadataOptions": {}}, "IMDSv1"),
        ("aws", "g6", ":Instance", {"userDataBase64": "plain"}, "in plain"),
        ("gcp", "g2-l4-spot", ":Instance", {"metadata": {"user-data": "x"}}, "in plain"),
        ("azure", "nd_h100", ":VirtualNetwork", {"tags": {}}, "lacks skyrig-stack"),
        ("oci", "a10-spot", ":NetworkSecurityGroupSecurityRule", {"source": "0.0.0.0/0"}, "port 22 is open"),
        ("oci", "a10-spot", ":Policy", {"statements": ["Allow any-user to manage instances in tenancy"]}, "too much"),
        ("oci", "a10-spot", ":Vcn", {"freeformTags": {}}, "lacks skyrig-stack"),
        ("aws", "g6", ":RolePolicy", {"policy": WIDE}, "it may do ec2:*"),
        ("gcp", "g2-l4-spot", ":IAMCustomRole", {"permissions": ["compute.*"]}, "it may do compute.*"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_found(cloud: str, name: str, kind: str, changes: dict[str, Any], found: str) -> None:
    assert any(found in line for line in broken(cloud, name, kind, **changes))
