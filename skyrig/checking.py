"""Which clouds can be used from here, and what to do about the others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import frozen

from skyrig.catalog import costs, optimizer, sources
from skyrig.catalog.offers import Offer
from skyrig.catalog.ranking import Ranking
from skyrig.clouds import cloud as clouds
from skyrig.clouds import stocks
from skyrig.clouds.cloud import Finding, Wanted
from skyrig.cluster.clouds import registered
from skyrig.errors import SkyrigError
from skyrig.stack import plugins
from skyrig.task.model import Task


@frozen
class Checked:
    """One cloud: whether it can be used for what was asked, and everything that was looked at in `region`."""

    cloud: str
    region: str
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing is in the way, as far as that can be known."""
        return all(each.ok is not False for each in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The object of `check --json`."""
        found = [{"what": each.what, "ok": each.ok, "said": each.said} for each in self.findings]
        return {"cloud": self.cloud, "region": self.region, "usable": self.usable, "findings": found}


def check(names: Sequence[str], task: Task | None, nodes: int | None) -> list[Checked]:
    """Look at each cloud, all at once. With a task, in the region and for the type of the cloud's first offer for it,
    which `nodes` nodes are wanted of (None: as many as the task says)."""
    count = nodes or (task.num_nodes if task is not None else 1)
    if task is not None:
        stocks.look([name for name in names if not clouds.of(name).missing()], task.config)
    market = sources.market(dict.fromkeys(names, ""))
    ranking = optimizer.rank(task.choice, count, market) if task is not None else None
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return list(pool.map(lambda name: _checked(name, ranking, count), names))


def _checked(name: str, ranking: Ranking | None, nodes: int) -> Checked:
    offer = _first(ranking.offers, name) if ranking is not None else None
    region = offer.region if offer is not None else _region(name)
    wanted = Wanted(offer.kind.name, nodes, offer.spot) if offer is not None else None
    found = [_plugin(name)]
    if ranking is not None and offer is None:
        found.append(Finding("offer", False, f"nothing of that: {ranking.nearest_miss(name)}"))
    elif offer is not None:
        price = None if offer.hourly is None else offer.hourly * nodes
        found.append(Finding("price", None if price is None else True, costs.said(price, offer.as_of)))
    try:
        return Checked(name, region, (*clouds.of(name).check(region, wanted), *found))
    except SkyrigError as error:
        return Checked(name, region, (Finding("reach", False, str(error)), *found))


def _plugin(name: str) -> Finding:
    there = plugins.there(name) if registered(name).package else ""
    if there:
        return Finding("plugin", True, there)
    package = registered(name).package
    if not package:
        return Finding("plugin", True, "none is needed")
    return Finding(
        "plugin", None, f"the engine downloads it at first use: pulumi plugin install resource {plugins.called(name)}"
    )


def _first(offered: Sequence[Offer], name: str) -> Offer | None:
    return next((each for each in offered if each.cloud == name), None)


def _region(name: str) -> str:
    """The region that the price table names first; "" where what a cloud has is seen by looking there: all of it."""
    if stocks.are_of(name):
        return ""
    table = sources.table()
    machines = table.machines.get(name, ())
    return table.quotes(machines[0])[0].region if machines else ""
