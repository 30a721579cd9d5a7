"""The order in which places are tried, as SkyPilot has it: all zones of a region, the next region of the same type and
cloud, then the next offer. Nothing is asked of a cloud before its turn has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import evolve, frozen

from skyrig.catalog.offers import Offer
from skyrig.cluster.shape import Shape
from skyrig.failover.place import Place


@frozen
class Turn:
    """A place whose turn has come; `number` is that of the place in the list that it is from. `passed` says why it is
    not tried, "" where it is."""

    number: int
    place: Place
    passed: str = ""


def region_last(shapes: Sequence[Shape], region: str) -> list[Shape]:
    """The shapes in their order, but those in `region`, where there was none lately, after all others ("": as they
    are)."""
    return sorted(shapes, key=lambda each: bool(region) and each.machine.region == region)


Zones = Callable[[Place], "Sequence[str] | str"]
"""The zones of a place's region that have its type; or why it cannot be tried at all, as text."""


def grouped(offers: Sequence[Offer]) -> list[Offer]:
    """Offers in the order of their ranking, but all regions of a candidate's type on a cloud one after the other. The
    user's own capacity is a group of its own."""
    groups: dict[tuple[int, str, str, bool, str], list[Offer]] = {}
    for offer in offers:
        key = (id(offer.asked), offer.cloud, offer.kind.name, offer.spot, offer.reservation)
        groups.setdefault(key, []).append(offer)
    return [offer for group in groups.values() for offer in group]


def turns(places: Sequence[Place], zones: Zones, refused: Callable[[Place], str]) -> Iterator[Turn]:
    """The places whose turn comes, each zone once. `refused` says why a place, or a whole region, is not to be tried
    ("": it is); it is asked when the turn has come, and so knows what was refused before."""
    seen: set[Place] = set()
    for number, place in enumerate(places):
        if place in seen:
            continue
        seen.add(place)
        reason = refused(place)
        found: Sequence[str] | str = reason or ((place.zone,) if place.zone else zones(place))
        if isinstance(found, str):
            yield Turn(number, place, found)
            continue
        if not found:
            yield Turn(number, place, "no zone has it")
        for zone in found:
            each = evolve(place, zone=zone)
            if each in seen and each != place:
                continue
            seen.add(each)
            yield Turn(number, each, refused(each))
