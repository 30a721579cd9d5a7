"""The choice between all offers for a task. Pure functions over one market.

Offers are found best first. A type enters the heap with the lowest price that it has anywhere, and its regions are
looked up only when its turn comes, so a choice in a table of any size looks at the few rows that matter.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from skyrig.catalog import fits, instances, refusing, stock, wishes
from skyrig.catalog.aims import MINIMIZE, Aim
from skyrig.catalog.market import Market, Reservation
from skyrig.catalog.offers import Offer, Offers
from skyrig.catalog.ranking import Ranking
from skyrig.catalog.stock import Stock
from skyrig.catalog.table import Quote
from skyrig.catalog.wishes import Wish
from skyrig.cluster.clouds import registered
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.task.resources import Choice

_LAST = float("inf")


def rank(choice: Choice, nodes: int, market: Market, aim: Aim | None = None) -> Ranking:
    """All that the market has for `nodes` nodes of one of the candidates, best first. Offers of clouds that cannot be
    used are among them: `market.missing` says why. Reservations that fit come first, types whose price nobody knows
    last; of `ordered` candidates each comes with all its offers before the next. BadInput where a candidate cannot be
    meant."""
    meant = [wishes.of(asked, nodes, market) for asked in choice.each]
    groups = [[each] for each in meant] if choice.mode == "ordered" else [meant]
    toward = aim or Aim()
    if toward.minimize not in MINIMIZE:
        raise BadInput(f"minimize {toward.minimize!r}: {' or '.join(MINIMIZE)} is wanted")
    found = _once(itertools.chain.from_iterable(_best_first(group, market, toward) for group in groups))
    return Ranking(nodes, Offers(found), lambda: refusing.why(meant, market))


def _once(found: Iterable[Offer]) -> Iterator[Offer]:
    """The offers, those of one size that several machines of a place have once."""
    seen = set()
    for offer in found:
        place = (offer.cloud, offer.region, offer.kind.name, offer.spot, id(offer.asked))
        if place not in seen or not registered(offer.cloud).is_sized:
            yield offer
        seen.add(place)


def _best_first(group: Sequence[Wish], market: Market, aim: Aim) -> Iterator[Offer]:
    """The offers for any of some candidates. A heap holds a key, then a type that is still to be looked up in its
    regions (no price beside it), or one of those regions with its price."""
    yield from _reserved(group, market, aim)
    count = itertools.count()  # so that nothing but keys is compared
    heap: list[tuple[Any, ...]] = []
    for wish in group:
        for kind in fitting(wish, market):
            least = kind.least(spot=wish.spot)
            if least is not None:
                hours = _hours(wish, kind, aim)
                key = _key(aim, hours, least * wish.nodes * (hours or 1.0))
                heapq.heappush(heap, (*key, 0, (), next(count), wish, kind, hours, "", None))
    while heap:
        *_, wish, kind, hours, region, quote = heapq.heappop(heap)
        if quote is not None:
            yield _offer(wish, kind, aim, hours, region, quote)
            continue
        for region, quote in _places(wish, kind, market):
            price = (quote.spot if wish.spot else quote.on_demand) * kind.chips
            total = price * wish.nodes * (hours or 1.0) + _egress(aim, kind, region)
            order = (kind.cloud, not region.startswith("us-"), region, kind.name)
            heapq.heappush(heap, (*_key(aim, hours, total), 1, order, next(count), wish, kind, hours, region, quote))
    yield from itertools.chain.from_iterable(_unpriced(wish, market, aim) for wish in group)


def fitting(wish: Wish, market: Market) -> Iterator[Stock]:
    """The types that have what a wish asks for, whatever they cost and wherever they are."""
    for cloud in wish.regions:
        yield from (kind for kind in wishes.stocks(wish, cloud, market) if not fits.lack(wish, kind))


def _key(aim: Aim, hours: float | None, total: float) -> tuple[float, float]:
    """What offers are compared by: those without an estimate, where there is one for others, come last."""
    if aim.hours is None:
        return (0.0, total)
    if hours is None:
        return (_LAST, total)
    return (hours if aim.minimize == "time" else 0.0, total)


def _hours(wish: Wish, kind: Stock, aim: Aim) -> float | None:
    return None if aim.hours is None else aim.hours(instances.of_stock(kind), wish.asked)


def _egress(aim: Aim, kind: Stock, region: str) -> float:
    return aim.inputs.egress(kind.cloud, region) if aim.inputs is not None else 0.0


def _places(wish: Wish, kind: Stock, market: Market) -> Iterator[tuple[str, Quote]]:
    """The regions where a wish may have a type, with its price there."""
    quotes = market.prices.quotes(kind.machine, wish.regions[kind.cloud])
    for region, quote in refusing.placed(wish, kind, quotes, market):
        if not refusing.of_quote(wish, kind, quote, region):
            yield region, quote


def _offer(wish: Wish, kind: Stock, aim: Aim, hours: float | None, region: str, quote: Quote) -> Offer:
    price = quote.spot if wish.spot else quote.on_demand
    assert price is not None  # refusing.of_quote
    return Offer(
        kind=instances.of_stock(kind),
        region=region,
        zone=wish.asked.infra.zone or "",
        spot=wish.spot,
        hourly=price * kind.chips,
        asked=wish.asked,
        as_of=quote.as_of,
        source=quote.source,
        hours=hours,
        egress=_egress(aim, kind, region),
    )


def _unpriced(wish: Wish, market: Market, aim: Aim) -> Iterator[Offer]:
    """A type that is named with its region need not be in the price table, unless that is the whole world."""
    asked = wish.asked
    if market.whole or asked.instance_type is None or asked.max_hourly_cost is not None:
        return
    for cloud, region in wish.regions.items():
        kind = stock.unpriced(cloud, asked.instance_type)
        if kind is None or region is None or fits.lack(wish, kind) or refusing.no_image(wish, region):
            continue
        priced = (each for each in wishes.stocks(wish, cloud, market) if not fits.lack(wish, each))
        if not any(True for each in priced for _ in _places(wish, each, market)):
            yield Offer(
                instances.of_stock(kind), region, asked.infra.zone or "", wish.spot, None, asked,
                hours=_hours(wish, kind, aim),
                egress=_egress(aim, kind, region),
            )  # fmt: skip


def _reserved(group: Sequence[Wish], market: Market, aim: Aim) -> list[Offer]:
    """The user's own capacity that fits, the cheapest first."""
    found = [
        Offer(
            instances.of_stock(kind), each.region, each.zone or wish.asked.infra.zone or "", False, each.hourly,
            wish.asked,
            hours=_hours(wish, kind, aim),
            egress=_egress(aim, kind, each.region),
            reservation=each.id,
        )
        for wish in group
        for each in market.reservations
        if (kind := _reserved_kind(wish, each, market)) is not None
    ]  # fmt: skip
    nodes = group[0].nodes
    return sorted(found, key=lambda offer: (*_key(aim, offer.hours, offer.total(nodes) or 0.0), str(offer)))


def _reserved_kind(wish: Wish, there: Reservation, market: Market) -> Stock | None:
    """The type of a reservation that fits a wish; None where it does not."""
    asked = wish.asked
    if wish.spot or there.cloud not in wish.regions or there.nodes < wish.nodes:
        return None
    if wish.regions[there.cloud] not in (None, there.region) or refusing.no_image(wish, there.region):
        return None
    if there.zone and asked.infra.zone not in (None, there.zone):
        return None
    if asked.max_hourly_cost is not None and there.hourly > asked.max_hourly_cost:
        return None
    kinds = [each for each in stock.of(market.prices, there.cloud) if each.name == there.instance_type]
    kind = kinds[0] if kinds else stock.unpriced(there.cloud, there.instance_type)
    if kind is None or asked.instance_type not in (None, kind.name) or fits.lack(wish, kind):
        return None
    return kind
