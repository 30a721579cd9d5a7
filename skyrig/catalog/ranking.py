"""What a choice between offers came to: those that will do, best first, and why each of the others will not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from skyrig.catalog.offers import Offer


@frozen
class Rejection:
    """Something that was not offered, or not chosen from. "" in `region` and `instance_type` stands for all of them;
    `reason` is one clause. `hourly` is USD an hour and node, None where it does not matter or is not known."""

    cloud: str
    reason: str
    region: str = ""
    instance_type: str = ""
    hourly: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The object of `plan --json`."""
        said = {"cloud": self.cloud, "region": self.region, "instance_type": self.instance_type}
        price = {} if self.hourly is None else {"hourly_cost": self.hourly}
        return {**{name: text for name, text in said.items() if text}, **price, "reason": self.reason}


@frozen
class Ranking:
    """`offers` for `nodes` nodes each, best first; `rejected` is everything else."""

    nodes: int
    offers: tuple[Offer, ...]
    rejected: tuple[Rejection, ...] = ()

    def without(self, refused: Callable[[Offer], str]) -> Ranking:
        """The ranking less the offers that `refused` has a reason against ("": none)."""
        reasons = [(offer, refused(offer)) for offer in self.offers]
        out = tuple(
            Rejection(offer.cloud, reason, offer.zone or offer.region, offer.kind.name, offer.hourly)
            for offer, reason in reasons
            if reason
        )
        return Ranking(self.nodes, tuple(offer for offer, reason in reasons if not reason), (*self.rejected, *out))
