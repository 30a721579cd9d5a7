"""Which way NCCL sends, by its own log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from skyrig.preflight import transport

CASES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("transports.yaml").read_text())


@pytest.mark.parametrize("name", CASES)
def test_the_log_tells_the_transport(name: str) -> None:
    case = CASES[name]
    found = transport.read(case["log"].splitlines())
    assert len(found) == len(case["found"])
    for each, said in zip(found, case["found"], strict=True):
        seen = {key: sorted(each.ways) if key == "ways" else getattr(each, key) for key in said}
        assert seen == said
        assert each.kind in transport.KINDS
    assert [each.host for each in transport.fell_back(found, case["fabric"])] == case.get("fell_back", [])
    if "words" in case:
        assert transport.in_words(found, case["fabric"]) == case["words"]
