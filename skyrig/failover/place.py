"""A place to rent machines in: what an attempt is made at, and what a refusal is about."""

from __future__ import annotations

from attrs import evolve, frozen

from skyrig.catalog import families, instances
from skyrig.catalog.offers import Offer
from skyrig.catalog.refusals import Refusal
from skyrig.cluster.shape import Shape


@frozen
class Place:
    """One type of machine in a zone of a cloud, paid for in one way: `on-demand`, `spot`, `reservation/ID`. The zone is
    "" where the region has none, or where it is not said which."""

    cloud: str
    region: str
    zone: str
    instance_type: str
    paid: str = "on-demand"

    @property
    def where(self) -> str:
        """Cloud and zone, or region."""
        return f"{self.cloud}/{self.zone or self.region}".rstrip("/")

    @property
    def what(self) -> str:
        """The machine, and how it is paid for where that is not by the hour. Nodes of the local cloud have no type."""
        kind = self.instance_type or "node"
        return kind if self.paid == "on-demand" else f"{kind} {self.paid}"

    def __str__(self) -> str:
        return f"{self.where} {self.what}"


def of_shape(shape: Shape) -> Place:
    """The place of a shape."""
    machine = shape.machine
    return Place(shape.cloud, machine.region, machine.zone, machine.instance_type, str(machine.capacity))


def of_offer(offer: Offer) -> Place:
    """The place of an offer, mostly a whole region."""
    paid = f"reservation/{offer.reservation}" if offer.reservation else "spot" if offer.spot else "on-demand"
    return Place(offer.cloud, offer.region, offer.zone, offer.kind.name, paid)


def covers(refusal: Refusal, at: Place, place: Place) -> bool:
    """Whether what was refused `at` a place will be refused at another one, or all over it, for the same reason."""
    if place.cloud != at.cloud or (refusal.where != "cloud" and place.region != at.region):
        return False
    if refusal.where == "zone" and place.zone != at.zone:
        return False
    return _alike(refusal.what, at, place)


def whole(place: Place) -> Place:
    """The region of a place."""
    return evolve(place, zone="")


def _alike(what: str, one: Place, other: Place) -> bool:
    """Whether a refusal for `what` of one place is one of the other, too."""
    if what == "all":
        return True
    if one.paid != other.paid:
        return False
    if what == "family":
        return _family(one) == _family(other)
    if what == "accelerators":
        return _has_accelerators(one) == _has_accelerators(other)
    return what == "market" or one.instance_type == other.instance_type


def _family(place: Place) -> str:
    return families.of(place.cloud, place.instance_type, spot=place.paid == "spot")


def _has_accelerators(place: Place) -> bool:
    kind = instances.of_cloud(place.cloud).get(place.instance_type)
    return kind is not None and bool(kind.accelerator)
