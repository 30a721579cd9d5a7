"""What clusters on Azure register, against golden files that were read line by line (docs/fabric.md says why so).

`SKYRIG_GOLDEN=write pytest tests/clouds/azure/test_azure_golden.py` writes them anew.
"""

from __future__ import annotations

import copy
import functools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pulumi
import pytest
from registrations import SECRET, Registration, golden, record

from components.azure.adopted import fit
from components.azure.cloud import AzureCloud
from components.azure.wrong import wrong
from skyrig.clouds.azure import names
from skyrig.cluster.description import from_json

HERE = Path(__file__).parent
CASES = sorted(file.stem for file in (HERE / "cases").glob("*.json"))
ACCOUNT = "11111111-2222-3333-4444-555555555555"

HUB = {
    "name": "hub",
    "location": "eastus2",
    "addressSpace": {"addressPrefixes": ["10.0.0.0/8"]},
    "subnets": [
        {"name": "gpu", "id": f"/subscriptions/{ACCOUNT}/.../hub/subnets/gpu", "natGateway": {"id": "theirs"}},
    ],
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))


def case(name: str) -> dict[str, Any]:
    return dict(json.loads((HERE / "cases" / f"{name}.json").read_text()))


@functools.cache
def of_case(name: str) -> tuple[list[Registration], Any]:
    """What a case registers and how it is described; nobody changes it."""
    return run(case(name))


def run(args: dict[str, Any]) -> tuple[list[Registration], Any]:
    outputs: dict[str, dict[str, Any]] = {
        "azure-native:resources:ResourceGroup": {
            "name": names.resource_group(args["stack"]),
            "id": f"/subscriptions/{ACCOUNT}/resourceGroups/{names.resource_group(args['stack'])}",
        },
        "azure-native:network:VirtualNetwork": {"name": "network"},
        "azure-native:network:PublicIPAddress": {"ipAddress": "198.51.100.7"},
        "azure-native:network:NetworkInterface": {
            "ipConfigurations": [{"name": "node", "privateIPAddress": "10.77.0.4"}]
        },
        "azure-native:compute:VirtualMachine": {
            "name": "the-machine",
            "vmId": "{name}-vmid",
            "identity": {"type": "UserAssigned"},
        },
        "azure-native:managedidentity:UserAssignedIdentity": {"principalId": "{name}-principal"},
        "pulumi-python:dynamic/skyrig:HostKey": {"public_key": "ssh-ed25519 {name}", "private_key": "PRIVATE {name}"},
        "pulumi-python:dynamic/skyrig:AzurePower": {"seen": args["power"], "boot": ""},
    }
    answers = {"azure-native:network:getVirtualNetwork": HUB}
    return record(lambda: AzureCloud("c", args).description, outputs=outputs, answers=answers)


def said(made: list[Registration]) -> list[Registration]:
    """Without the pickles that refer to classes of dynamic resources."""
    return [
        attrs.evolve(one, inputs={key: value for key, value in one.inputs.items() if key != "__provider"})
        for one in made
    ]


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    made, known = of_case(name)
    description = {**known, "records": "RECORDS"}
    texts = {
        f"{name}.json": golden(said(made)),
        f"{name}.cluster.json": json.dumps(description, indent=1, sort_keys=True) + "\n",
    }
    for file, text in texts.items():
        where = HERE / "golden" / file
        if os.environ.get("SKYRIG_GOLDEN") == "write":
            where.write_text(text)
        assert where.read_text() == text, f"{where}: another cluster than before"


@pytest.mark.parametrize("name", CASES)
def test_descriptions_can_be_read_and_all_but_the_head_are_behind_it(name: str) -> None:
    args = case(name)
    cluster = from_json(of_case(name)[1])
    everyone = args["machine"]["egress"] == "public-outbound"
    assert [node.id for node in cluster.nodes] == [node["id"] for node in args["nodes"]]
    assert cluster.head.host == "198.51.100.7" and cluster.head.jump == ""
    for node in cluster.nodes[1:]:
        assert (node.jump, node.host) == (("", "198.51.100.7") if everyone else ("n0", "10.77.0.4"))


@pytest.mark.parametrize("name", CASES)
def test_what_no_cluster_has(name: str) -> None:
    """No SSH from everywhere, no password, no open disk, no key in plain text, no untagged thing, no wildcard."""
    args = case(name)
    made = of_case(name)[0]
    text = json.dumps([one.inputs for one in made])
    assert "PRIVATE" not in text.replace("PRIVATE c-", "")
    machines = [one for one in made if one.type == "azure-native:compute:VirtualMachine"]
    assert len(machines) == len(args["nodes"])
    for one in machines:
        assert SECRET in one.inputs["osProfile"]
        assert one.inputs["securityProfile"]["encryptionAtHost"] is True
    for one in made:
        if one.type.startswith("azure-native:") and not one.type.endswith(
            (":Subnet", ":RoleDefinition", ":RoleAssignment")
        ):
            assert one.inputs["tags"]["skyrig-stack"] == args["stack"], one.name
    for one in made:
        if one.type.endswith(":NetworkSecurityGroup"):
            for rule in one.inputs["securityRules"]:
                if "22" in (rule.get("destinationPortRange", ""), *rule.get("destinationPortRanges", [])):
                    assert rule["sourceAddressPrefix"] == "203.0.113.7/32"
        if one.type.endswith(":RoleDefinition"):
            actions = one.inputs["permissions"][0]["actions"]
            assert actions and not any("*" in action for action in actions)
            assert one.inputs["assignableScopes"] == [one.inputs["scope"]] != ["*"]


def test_a_node_more_or_less_leaves_the_others_alone() -> None:
    two = case("nd_h100")
    three = copy.deepcopy(two)
    three["nodes"] = [two["nodes"][0], {"id": "n7", "group": "main", "version": 1}, two["nodes"][1]]
    before, after = ({(one.type, one.name): one.inputs for one in run(args)[0]} for args in (two, three))
    assert {key: after[key] for key in before} == before
    assert sorted(name for _, name in set(after) - set(before)) == [
        "c-main-n7-v1",
        "c-main-n7-v1-hostkey",
        "c-main-n7-v1-interface",
        "c-main-n7-v1-machine",
        "c-main-n7-v1-power",
    ]


def test_another_version_is_another_node_beside_the_old_one() -> None:
    two = case("nd_h100")
    newer = copy.deepcopy(two)
    newer["nodes"][1]["version"] = 2
    made = {one.name: one for one in run(newer)[0]}
    assert made["c-main-n1-v2-machine"].inputs["vmName"] == "n1-v2" and "c-main-n1-v1-machine" not in made
    assert made["c-main-n0-v1-machine"].inputs["vmName"] == "n0-v1"


@pytest.mark.parametrize(
    ("subnet", "changed", "reason"),
    [
        ("none", {}, "hub has no subnet none"),
        ("closed", {}, "neither a NAT gateway nor a route table"),
        ("gpu", {"location": "westeurope"}, "it is in westeurope"),
        ("gpu", {"address_space": SimpleNamespace(address_prefixes=["172.16.0.0/12"])}, "InfiniBand keeps for itself"),
    ],
)
def test_a_network_that_will_not_do_is_refused(subnet: str, changed: dict[str, Any], reason: str) -> None:
    parts = [
        SimpleNamespace(name="gpu", id="gpu-id", nat_gateway=SimpleNamespace(id="theirs"), route_table=None),
        SimpleNamespace(name="closed", id="closed-id", nat_gateway=None, route_table=None),
    ]
    space = SimpleNamespace(address_prefixes=["10.0.0.0/8"])
    found = {"name": "hub", "location": "East US 2", "address_space": space, "subnets": parts}
    wanted = ("eastus2", "nat", "infiniband")
    assert fit(SimpleNamespace(**found), "GPU", *wanted) == "gpu-id"
    with pytest.raises(pulumi.InputPropertyError, match=reason):
        fit(SimpleNamespace(**{**found, **changed}), subnet, *wanted)


def test_what_is_not_as_expected_is_told_at_preview(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("nv_best", "nd_h100", "nc_reserved"):
        run(case(name))
    told = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(told) == 1 and "egress none" in told[0]


def test_a_cluster_of_two_markets_shares_one_scale_set() -> None:
    """All machines are in the scale set that spot ones need, whichever market they are of; where the others are in an
    availability set, a spot one would be cut off from their InfiniBand, and is refused."""
    made, described = of_case("nd_h200_mixed")
    machines = {one.name: one.inputs for one in made if one.type == "azure-native:compute:VirtualMachine"}
    assert {name: one.get("priority") for name, one in machines.items()} == {
        "c-ondemand-n0-v1-machine": None, "c-main-n1-v1-machine": "Spot", "c-main-n2-v1-machine": "Spot",
    }  # fmt: skip
    assert len({one["virtualMachineScaleSet"]["id"] for one in machines.values()}) == 1
    assert [node.spot for node in from_json(described).nodes] == [False, True, True]
    other = case("nd_h200_mixed")
    other["machine"]["capacity"], other["nodes"][2]["group"] = "on-demand", "spot"
    assert list(wrong(other)) == ["nodes"] and "n2 is spot" in wrong(other)["nodes"]
