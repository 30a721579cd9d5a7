"""What a choice between offers came to: those that will do, best first, and why each of the others will not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen

from skyrig.catalog.offers import Offer


@frozen
class Rejection:
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


def _none() -> tuple[Rejection, ...]:
    return ()


@frozen(slots=False)
class Ranking:
    """`offers` for `nodes` nodes each, best first, found as they are looked at. `refused` tells why the rest of the
    market is not among them; most readers want `rejected`."""

    nodes: int
    offers: Sequence[Offer]
    refused: Callable[[], tuple[Rejection, ...]] = field(default=_none, eq=False, repr=False)

    @functools.cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Everything that is not offered, with its reason; found out when it is asked for."""
        return self.refused()

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
