"""What clusters on Google Cloud register, against golden files. SKYRIG_UPDATE_GOLDEN=1 writes them anew, for review."""

from __future__ import annotations

import os

import pytest
from gcp_cases import HERE, OUTPUTS, case, of_type, registered

from skyrig.cluster.description import from_json
from tests.clouds.registrations import golden

POWER = {
    "pulumi-python:dynamic/skyrig:GcpPower": {"nodes": {n: {"status": "RUNNING", "started": ""} for n in ("n0", "n1")}}
}
CASES = sorted(file.stem for file in (HERE / "cases").glob("*.json"))


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
    assert cluster.head.host.startswith("203.0.113.") and not cluster.head.jump
    assert {node.jump for node in cluster.nodes[1:]} <= {cluster.head.id}


def test_every_golden_file_has_its_case() -> None:
    assert len(CASES) >= 10 and sorted(file.stem for file in (HERE / "golden").glob("*.json")) == CASES


def test_each_node_is_bought_on_the_market_of_its_group() -> None:
    made, described = registered(case("g2-l4-mixed"))
    models = {name: each.inputs["scheduling"]["provisioningModel"] for name, each in of_type(made, "Instance").items()}
    assert models == {
        "dev-gcp-machines-ondemand-n0-v1": "STANDARD",
        "dev-gcp-machines-main-n1-v1": "SPOT", "dev-gcp-machines-main-n2-v1": "SPOT",
    }  # fmt: skip
    assert [node.spot for node in from_json(described).nodes] == [False, True, True]


def test_another_machine_under_the_heads_name_is_in_another_group() -> None:
    """A machine that is made anew leaves the group that its predecessor was in empty, under the same link."""
    for number in ("7", "8"):
        outputs = {"gcp:compute/instance:Instance": {**OUTPUTS["gcp:compute/instance:Instance"], "instanceId": number}}
        made, _ = registered(case("g2-l4-balanced"), outputs={**OUTPUTS, **POWER, **outputs})
        [group] = of_type(made, "InstanceGroup").values()
        assert group.inputs["name"] == f"dev-ef260e-head-{number}"
