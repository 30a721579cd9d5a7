"""How old a price is, and where that is told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from skyrig.catalog import ages, costs, sources
from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape

TODAY = date(2026, 11, 22)
HINT = "`catalog.refresh` gets today's"


@pytest.mark.parametrize(
    ("as_of", "days", "remark"),
    [
        ("2026-11-22", 0, ""),
        ("2026-11-23", 0, ""),  # another time zone
        ("2026-10-23", 30, ""),
        ("2026-10-22", 31, f"price of 2026-10-22, 1 month old; {HINT}"),
        ("2026-07-20", 125, f"price of 2026-07-20, 4 months old; {HINT}"),
        ("2026", 325, f"price of 2026; {HINT}"),
        ("2025-11+", 386, f"price of 2025-11; {HINT}"),
        ("2025 (file in repo at 2026-08-19)", 690, f"price of 2025; {HINT}"),
        ("unknown", None, f"price of an unknown date; {HINT}"),
    ],
)
def test_an_old_price_says_so(as_of: str, days: int | None, remark: str) -> None:
    assert ages.days(as_of, TODAY) == days
    assert ages.remark(as_of, TODAY) == remark
    assert costs.said(None, as_of) == "price not known"


def test_a_cluster_is_as_old_priced_as_its_nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(instance_type="p5.48xlarge", region="us-east-1")
    there = Shape(cloud="aws", machine=machine)
    assert costs.remark(there).endswith(f"old; {HINT}") and costs.remark(Shape()) == ""
    slices = Shape(cloud="gcp", machine=Machine(instance_type="v5litepod-16", region="us-central1"))
    assert costs.remark(slices).startswith("price of 2025")
    today = date.today().isoformat()
    mine = f"prices: [{{cloud: aws, region: us-east-1, instance_type: p5.48xlarge, on_demand: 40, as_of: {today}}}]"
    (tmp_path / "mine.yaml").write_text(mine)
    monkeypatch.setenv(sources.FILE, str(tmp_path / "mine.yaml"))
    assert costs.remark(there) == ""
    assert costs.said(costs.of_shape(there)) == "$80.06/h"
