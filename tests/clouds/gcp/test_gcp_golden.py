"""What clusters on Google Cloud register, against golden files. SKYRIG_UPDATE_GOLDEN=1 writes them anew, for review."""

from __future__ import annotations

import os

import pytest
from gcp_cases import HERE, case, of_type, registered

from skyrig.cluster.description import from_json
from tests.clouds.registrations import golden

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
