"""docs/support.md is what the clouds' own files say, and these say nothing that has no test."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
from user import ROOT
from worlds import clouds, load

from skyrig.cluster.clouds import CLOUDS


@pytest.fixture(scope="module")
def support() -> ModuleType:
    """The program that writes the page."""
    spec = importlib.util.spec_from_file_location("support", ROOT / "tools" / "support.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(made)
    sys.path[:] = before
    return made


def test_the_page_is_what_the_files_say(support: ModuleType) -> None:
    assert support.PAGE.read_text() == support.page(support.said()), "run `python tools/support.py`"
    assert list(support.said()) == list(CLOUDS), "docs/support/CLOUD.json is wanted of every registered cloud"


def test_every_cell_is_a_feature_with_a_proof_that_is_there_or_a_reason(support: ModuleType) -> None:
    for name, cloud in support.said().items():
        assert set(cloud["features"]) <= set(support.FEATURES), name
        for row, cell in cloud["features"].items():
            assert set(cell) - {"note"} in ({"not"}, {"by", "in"}), f"{name}: {row}"
            assert cell.get("by", "live") in support.PROOFS, f"{name}: {row}"
            assert all((ROOT / test).exists() for test in cell.get("in", ())), f"{name}: {row}: {cell['in']}"
            assert "not" in cell or cell["in"], f"{name}: {row}"


def test_what_a_world_lacks_the_page_does_not_have(support: ModuleType) -> None:
    rows = {"nodes": "several nodes", "stop": "stop and start", "end": "autodown from inside"}
    for name in clouds():
        because = getattr(load(name), "because", {})
        features = support.said()[name]["features"]
        for step, row in rows.items():
            assert (step in because) == ("not" in features.get(row, {})), f"{name}: {row}"
