"""What a choice between offers came to: those that will do, best first, and why each of the others will not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from skyrig.catalog.offers import Offer


class Rejection(NamedTuple):
    """Something that was not offered, or not chosen from. "" in `region` and `instance_type` stands for all of them;
    `regions` has those that it holds for where they are several. `reason` is one clause. `hourly` is USD an hour and
    node, the least of several, None where it does not matter or is not known."""

    cloud: str
    reason: str
    region: str = ""
    instance_type: str = ""
    hourly: float | None = None
    regions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object of `plan --json`."""
        said = {"cloud": self.cloud, "region": self.region, "instance_type": self.instance_type}
        price = {} if self.hourly is None else {"hourly_cost": self.hourly}
        several = {"regions": list(self.regions)} if self.regions else {}
        return {**{name: text for name, text in said.items() if text}, **several, **price, "reason": self.reason}


class Ranking:
    """`offers` for `nodes` nodes each, best first, found as they are looked at; `rejected` is everything else of the
    market, found out (by `refused`) when it is asked for."""

    def __init__(
        self, nodes: int, offers: Sequence[Offer], refused: Callable[[], tuple[Rejection, ...]] = tuple
    ) -> None:
        self.nodes = nodes
        self.offers = offers
        self._refused = refused

    @functools.cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Everything that is not offered, with its reason."""
        return self._refused()

    def nearest_miss(self, cloud: str) -> str:
        """Why a cloud has no offer, by what came nearest to one: the cheapest type that only its price or its place
        spoke against, else another of the kind, else what is said of the whole cloud; "" where nothing is said."""
        said = [each for each in self.rejected if each.cloud in (cloud, "*")]
        priced = [each for each in said if each.hourly is not None]
        typed = [each for each in said if each.instance_type]
        best = min(priced, key=lambda each: each.hourly or 0.0) if priced else next(iter(typed or said), None)
        return "" if best is None else f"{best.instance_type} {best.reason}".strip()

    def without(self, refused: Callable[[Offer], str]) -> Ranking:
        """The ranking less the offers that `refused` has a reason against ("": none)."""
        reasons = [(offer, refused(offer)) for offer in self.offers]
        out = tuple(
            Rejection(offer.cloud, reason, offer.zone or offer.region, offer.kind.name, offer.hourly)
            for offer, reason in reasons
            if reason
        )
        kept = tuple(offer for offer, reason in reasons if not reason)
        return Ranking(self.nodes, kept, lambda: (*self.rejected, *out))
