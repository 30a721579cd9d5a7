"""The components without the engine: pure functions, and the contract with config and schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.provider.experimental.analyzer import Analyzer
from ruamel.yaml import YAML

from components.cluster import Cluster
from components.data import Data
from components.local.addresses import NETWORK, address, addresses
from components.local.cloud import LocalCloud
from components.local.describe import describe
from components.local.group import LocalNodeGroup, alias
from skyrig.cluster.description import from_json
from skyrig.cluster.keys import NAMESPACE
from skyrig.cluster.shape import KEYS, Shape, WantedNode, resized
from skyrig.errors import BadInput

ROOT = Path(__file__).parents[2]


def test_config_of_the_project_is_the_shapes() -> None:
    declared = YAML(typ="safe").load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert {key: entry["default"] for key, entry in declared.items()} == {
        f"{NAMESPACE}:{key}": known.default for key, known in KEYS.items()
    }
    assert {key: entry["description"] for key, entry in declared.items()} == {
        f"{NAMESPACE}:{key}": known.meaning for key, known in KEYS.items()
    }


def test_components_have_a_schema() -> None:
    """Packaging needs annotations that Pulumi's analyzer understands, and a description of every property."""
    found: Any = Analyzer("skyrig").analyze([Cluster, Data, LocalCloud, LocalNodeGroup])
    definitions = found["component_definitions"]
    assert set(definitions) == {"Cluster", "Data", "LocalCloud", "LocalNodeGroup"}
    for definition in definitions.values():
        assert definition.description
        assert [name for name, one in definition.inputs.items() if not one.description] == []


@given(st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True))
def test_every_id_has_an_address(node_id: str) -> None:
    found = address(node_id)
    assert found == address(node_id) and found not in (str(NETWORK[0]), str(NETWORK[1]), str(NETWORK[-1]))
    assert found.startswith("10.31.")


def test_numbered_ids_have_addresses_of_their_own() -> None:
    ids = [f"n{number}" for number in range(3000)]
    assert len(set(addresses(ids).values())) == 3000 and address("n0") == "10.31.0.10"


def test_two_ids_on_one_address_are_refused() -> None:
    taken: dict[str, str] = {}
    for number in range(5000):
        node_id = f"worker-{number}"
        if address(node_id) in taken:
            with pytest.raises(BadInput, match=node_id):
                addresses([taken[address(node_id)], node_id])
            return
        taken[address(node_id)] = node_id
    raise AssertionError("no two ids fall on one address: nothing was tested")


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20, unique=True), st.integers(1, 30))
def test_ranks_are_stable_and_the_head_stays(numbers: list[int], count: int) -> None:
    before = Shape(nodes=tuple(WantedNode(f"n{number}") for number in numbers))
    after = resized(before, count).nodes
    stay = min(count, len(numbers))
    assert len(after) == count and after[:stay] == before.nodes[:stay] and after[0] == before.nodes[0]
    assert len({node.id for node in after}) == count


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True))
def test_an_alias_is_a_host_name(stack: str) -> None:
    name = alias(stack, "n0")
    assert 0 < len(name) <= 63 and name.endswith("n0") and name.replace("-", "a").isalnum() and name[0] != "-"


def test_a_description_is_read_back() -> None:
    said = {
        "node_id": "n4", "host": "127.0.0.1", "port": 40000.0, "address": "10.31.0.14", "user": "u", "host_key": "k",
        "incarnation": "i", "alias": "c-n4", "internal_port": 22.0, "cpus": 2.0, "memory_gb": 3.5,
        "accelerators": {"name": "H100", "count": 8.0, "declared": True}, "boot": "b", "power": "stopped",
    }  # fmt: skip
    cluster = from_json(describe("c", "namespaces", [said], "ssh-ed25519 A", Path("/records of c")))
    assert (cluster.head.id, cluster.head.port, cluster.head.accelerators.count) == ("n4", 40000, 8)
    assert (cluster.head.power, cluster.head.life) == ("stopped", "i.b")
    assert cluster.power.stop and cluster.power.start and not cluster.power.refused
    assert cluster.records == "file:///records%20of%20c" and cluster.ssh.private_key == ""
