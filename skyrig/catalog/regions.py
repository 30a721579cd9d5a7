"""Regions and zones: which clouds have a place that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skyrig.catalog import facts, slips
from skyrig.catalog.market import Market
from skyrig.catalog.table import ANYWHERE
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.task.infra import Infra


_FEW = 6
"""So many regions are told to who names none of them."""


def known(cloud: str, market: Market) -> tuple[str, ...]:
    """Regions of a cloud: those with a price and, unless the market is the whole world, those that it has besides."""
    priced = market.prices.regions.get(cloud, ())
    return tuple(sorted({*priced, *_listed(cloud, market)}))


def anywhere(cloud: str, market: Market) -> tuple[str, ...]:
    """What a price that holds in all regions is taken for: the regions that have prices of their own, or all; where
    they are not known, the one of the user's credentials, or the usual one; "*" where there is none."""
    if listed := _listed(cloud, market):
        return market.prices.regions.get(cloud) or listed
    return (market.homes.get(cloud) or facts.common("regions")["usual"].get(cloud, ANYWHERE),)


def places(asked: Infra, market: Market) -> dict[str, str | None]:
    """The clouds of a market that a place is on, with the region there (None: any). BadInput for a region or a zone
    that none of them has."""
    clouds = [cloud for cloud in market.missing if asked.cloud in (None, cloud)]
    if (asked.region is None and asked.zone is None) or not clouds:
        return dict.fromkeys(clouds)
    if asked.region is None:
        return _of_zone(str(asked.zone), clouds, market)
    found: dict[str, str | None] = {each: asked.region for each in clouds if _has(each, asked.region, market)}
    if not found:
        raise _unknown(f"region {asked.region}", asked.region, clouds, market)
    if asked.zone is None:
        return found
    there = {cloud: region for cloud, region in found.items() if _is_in(asked.zone, str(region), cloud)}
    if not there:
        raise BadInput(f"zone {asked.zone} is not in {asked.region}", hint="name a zone of that region, or none")
    return there


def _of_zone(zone: str, clouds: Iterable[str], market: Market) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for cloud in clouds:
        within = [region for region in known(cloud, market) if zone.startswith(region) and _is_in(zone, region, cloud)]
        if within:
            found[cloud] = max(within, key=len)
    if not found:
        raise _unknown(f"zone {zone}", zone, clouds, market)
    return found


def _listed(cloud: str, market: Market) -> tuple[str, ...]:
    return () if market.whole else tuple(facts.common("regions")["regions"].get(cloud, ()))


def _has(cloud: str, region: str, market: Market) -> bool:
    if region in known(cloud, market):
        return True
    # where prices hold anywhere, nothing tells which regions there are
    return cloud in market.prices.anywhere and not _listed(cloud, market)


def _is_in(zone: str, region: str, cloud: str) -> bool:
    pattern = facts.common("regions")["zones"].get(cloud)
    if pattern is None:  # a cloud without zones
        return False
    return re.fullmatch(pattern.replace("REGION", re.escape(region)), zone, re.IGNORECASE) is not None


def _unknown(what: str, name: str, clouds: Iterable[str], market: Market) -> BadInput:
    among = tuple(clouds)
    regions = [region for cloud in among for region in known(cloud, market)]
    where = among[0] if len(among) == 1 else "no cloud here"
    text = f"{where} has no {what}" if len(among) == 1 else f"{where} has a {what}"
    lacks = market.missing[among[0]] if len(among) == 1 and not regions else ""
    otherwise = (
        f"there: {', '.join(regions)}" if 0 < len(regions) <= _FEW else "regions are named as the cloud has them"
    )
    if len(among) == 1 and among[0] in facts.common("regions")["seen"]:
        otherwise = f"`check {among[0]}` says what is there, and what does not answer"
    return BadInput(text, hint=lacks or slips.did_you_mean(name, regions, otherwise))
