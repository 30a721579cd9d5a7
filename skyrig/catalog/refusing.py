"""Why what a market has is not offered. Every row of the price table is among the offers or has its reason here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skyrig.catalog import fits, naming, regions, stock, wishes
from skyrig.catalog.market import Market
from skyrig.catalog.ranking import Rejection
from skyrig.catalog.stock import Stock
from skyrig.catalog.table import ANYWHERE, Quote
from skyrig.catalog.wishes import Wish


def placed(wish: Wish, kind: Stock, quotes: Sequence[Quote], market: Market) -> Iterator[tuple[str, Quote]]:
    """The regions that some prices of a type stand for, each with its price. A price for all regions stands for the one
    that is asked for, or for all there are, less those that have a price of their own."""
    own = {quote.region for quote in quotes if (quote.spot if wish.spot else quote.on_demand) is not None}
    for quote in quotes:
        if quote.region != ANYWHERE:
            yield quote.region, quote
            continue
        asked = wish.regions[kind.cloud]
        for region in regions.anywhere(kind.cloud, market) if asked is None else (asked,):
            if region == ANYWHERE or region not in own:
                yield region, quote


def no_image(wish: Wish, region: str) -> str:
    """Why what is asked for cannot start in a region; "" where it can."""
    images = wish.asked.image.by_region if wish.asked.image is not None else {}
    return "image_id has no image there" if images and None not in images and region not in images else ""


def of_quote(wish: Wish, kind: Stock, quote: Quote, region: str) -> str:
    """Why a wish cannot take a type that has all it asks for in a region at a price; "" where it can."""
    asked, wanted = wish.asked, wish.regions[kind.cloud]
    if wanted not in (None, region):
        return f"{wanted} is asked for"
    if missing := no_image(wish, region):
        return missing
    price = quote.spot if wish.spot else quote.on_demand
    if price is None:
        other = quote.on_demand if wish.spot else quote.spot
        kinds = ("spot", "on demand") if wish.spot else ("on demand", "spot")
        return f"no price {'as ' if wish.spot else ''}{kinds[0]} is known" + (
            "" if other is None else f", only {kinds[1]}"
        )
    if asked.max_hourly_cost is not None and price * kind.chips > asked.max_hourly_cost:
        return f"is over max_hourly_cost {asked.max_hourly_cost:g}"
    return ""


def why(meant: Sequence[Wish], market: Market) -> tuple[Rejection, ...]:
    """All that is not offered for any of some wishes, one rejection a cloud, type and reason."""
    found: dict[tuple[str, str, str], dict[str, float | None]] = {}
    for cloud in market.missing:
        here = [wish for wish in meant if cloud in wish.regions]
        matching = [{(kind.machine.id, kind.name) for kind in wishes.matching(wish, cloud, market)} for wish in here]
        other = _other(here, any(matching)) if here else "; ".join(dict.fromkeys(wish.barred[cloud] for wish in meant))
        for kind in stock.of(market.prices, cloud):
            near = [wish for wish, those in zip(here, matching, strict=True) if (kind.machine.id, kind.name) in those]
            if not near:
                found.setdefault((cloud, "", other), {})[""] = None
                continue
            for reason, region, price in _of_kind(near, kind, market):
                found.setdefault((cloud, kind.name, reason), {})[region] = price
    outside = (_absent(wish, market) for wish in meant)
    told = (_told(*key, places) for key, places in found.items())
    return (*dict.fromkeys(each for each in outside if each is not None), *told)


def _of_kind(near: Sequence[Wish], kind: Stock, market: Market) -> Iterator[tuple[str, str, float | None]]:
    """Why wishes that may mean a type do not get it: reasons with a region ("": all) and the price there."""
    lacks = [(fits.lack(wish, kind), wish) for wish in near]
    fit = [wish for lack, wish in lacks if not lack]
    if not fit:
        yield lacks[0][0], "", None
        return
    quotes = market.prices.quotes(kind.machine)
    each = [
        (of_quote(wish, kind, quote, region), region, quote.spot if wish.spot else quote.on_demand)
        for wish in fit
        for region, quote in placed(wish, kind, quotes, market)
    ]
    offered = {region for reason, region, _ in each if not reason}
    for reason, region, price in each:
        if reason and region not in offered:
            yield reason, region, None if price is None else price * kind.chips


def _other(here: Sequence[Wish], some: bool) -> str:
    """Why types of another kind than asked for are not offered: there are some of that kind, or none at all."""
    wanted = " or ".join(dict.fromkeys(wish.said for wish in here))
    return f"other types than {wanted}" if some else f"no {wanted}"


def _absent(wish: Wish, market: Market) -> Rejection | None:
    """What a wish asks for that nobody in the market has ever heard of; None where that is not so."""
    asked = wish.asked
    if asked.infra.cloud is not None and asked.infra.cloud not in market.missing:
        return Rejection(asked.infra.cloud, "has no prices here")
    if asked.accelerator is not None and not wish.accelerators:
        near = naming.nearest(asked.accelerator.name, market.prices, market.missing)
        if near.lower() == asked.accelerator.name.lower():  # others have it than those that are asked for
            return None
        hint = f": did you mean {near}?" if near else ""
        return Rejection(asked.infra.cloud or "*", f"nobody has {naming.said(asked.accelerator)}{hint}")
    return None


def _told(cloud: str, instance_type: str, reason: str, places: dict[str, float | None]) -> Rejection:
    prices = [price for price in places.values() if price is not None]
    names = tuple(sorted(name for name in places if name))
    one, several = (names[0], ()) if len(names) == 1 else ("", names)
    return Rejection(cloud, reason, one, instance_type, min(prices, default=None), several)
