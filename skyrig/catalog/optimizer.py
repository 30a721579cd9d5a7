"""The choice between all offers for a task. Pure functions over one market."""

from __future__ import annotations

from skyrig.catalog import offers
from skyrig.catalog.market import Market
from skyrig.catalog.ranking import Ranking
from skyrig.task.resources import Choice


def rank(choice: Choice, nodes: int, market: Market) -> Ranking:
    """All that the market has for `nodes` nodes of one of the candidates, best first. Offers of clouds that cannot be
    used are among them: `market.missing` says why."""
    return Ranking(nodes, tuple(offers.of_choice(choice.each, choice.mode, tuple(market.missing))))
