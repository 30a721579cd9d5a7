"""What clusters on Oracle Cloud register, against golden files. SKYRIG_UPDATE_GOLDEN=1 writes them anew, for review."""

from __future__ import annotations

import os

import pytest
from oci_cases import HERE, TENANCY, case, registered

from skyrig.cluster.description import from_json
from tests.clouds.registrations import golden

CASES = sorted(file.stem for file in (HERE / "cases").glob("*.json"))


@pytest.fixture(autouse=True)
def _of_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_TENANCY_OCID", TENANCY)


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
    assert len(CASES) >= 8 and sorted(file.stem for file in (HERE / "golden").glob("*.json")) == CASES
