"""The same choice as SkyPilot for the same data: cases recorded from it (cases/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from skyrig.catalog import market as markets
from skyrig.catalog import optimizer
from skyrig.catalog.market import Market
from skyrig.errors import BadInput
from skyrig.task import reading
from skyrig.task.resources import of_plain

CASES = Path(__file__).with_name("cases")
WISHES = yaml.safe_load(CASES.with_name("wishes.yaml").read_text())


@pytest.fixture(scope="module")
def market() -> Market:
    """The whole world of the cases."""
    return markets.of_file(CASES / "prices.csv")


@pytest.mark.parametrize("case", sorted(CASES.glob("*.yaml")), ids=lambda case: case.stem)
def test_the_choice_is_skypilots(market: Market, case: Path) -> None:
    task, said = reading.load(case).only(), json.loads(case.with_suffix(".json").read_text())
    wanted = said.get("ours", said["chosen"]["hourly_cost_total"] if said["ok"] else said["kind"])
    if wanted == "bad-request":
        with pytest.raises(BadInput):
            optimizer.rank(task.choice, task.num_nodes, market)
        return
    offers = optimizer.rank(task.choice, task.num_nodes, market).offers
    if wanted == "no-offer":
        assert not offers
        return
    assert offers[0].total(task.num_nodes) == pytest.approx(wanted)
    if "ours" not in said:
        same = [said["chosen"], *said["also_ok"]]
        chosen = (offers[0].cloud, offers[0].region, offers[0].kind.name, offers[0].spot)
        assert chosen in [(each["cloud"], each["region"], each["instance_type"], each["use_spot"]) for each in same]


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish["name"])
def test_wishes_beside_those(market: Market, wish: dict[str, Any]) -> None:
    choice, nodes = of_plain(wish["resources"], "test")[0], wish.get("nodes", 1)
    if wish["wanted"] == "bad-request":
        with pytest.raises(BadInput) as told:
            optimizer.rank(choice, nodes, market)
        assert told.value.hint
        return
    ranking = optimizer.rank(choice, nodes, market)
    if wish["wanted"] == "no-offer":
        assert not ranking.offers and ranking.rejected
        return
    assert ranking.offers[0].total(nodes) == pytest.approx(wish["wanted"])
    assert wish.get("chosen") in (None, ranking.offers[0].kind.name)
