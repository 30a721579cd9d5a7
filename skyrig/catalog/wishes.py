"""What one candidate of a task comes to in one market: names found out, defaults filled in, places known.

What nobody could mean is BadInput here, before anything is compared: a region or a type that does not exist, half a
name of several accelerators, a type that is not what else is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from skyrig.catalog import cutting, facts, fits, naming, refreshed, regions, sized, slips, stock
from skyrig.catalog.market import Market
from skyrig.catalog.stock import Stock
from skyrig.cluster.clouds import registered
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.task.resources import Resources


class Wish(NamedTuple):
    """`regions` has the clouds that may serve, with the one region of each (None: any). `barred` says of clouds why
    they cannot serve. `accelerators` are names in lower case, any of which will do; empty for a node without one, or
    where a type is named. `cpus` and `memory` are in their normal form, "" for any."""

    asked: Resources
    nodes: int
    spot: bool
    regions: Mapping[str, str | None]
    barred: Mapping[str, str]
    accelerators: tuple[str, ...]
    cpus: Mapping[str, str]
    memory: str

    @property
    def said(self) -> str:
        """What a node shall have, in words."""
        if self.asked.instance_type:
            return self.asked.instance_type
        return naming.said(self.asked.accelerator) if self.asked.accelerator else "CPU nodes"


def of(asked: Resources, nodes: int, market: Market) -> Wish:
    """A candidate for so many nodes, in a market. BadInput where it cannot be meant."""
    if asked.image is not None and asked.infra.cloud is None and asked.image.cloud is None and not _container(asked):
        images = [name for region, name in asked.image.by_region.items() if region is None]
        if images:
            raise BadInput(f"image {images[0]}: images belong to one cloud", hint="name the cloud too, as infra")
    places = regions.places(asked.infra, market)
    barred = {cloud: why for cloud in market.missing if (why := _barred(asked, cloud, nodes, places))}
    wish = Wish(
        asked=asked,
        nodes=nodes,
        spot=bool(asked.use_spot),
        regions={cloud: region for cloud, region in places.items() if cloud not in barred},
        barred=barred,
        accelerators=(),
        cpus={cloud: _cpus(asked, cloud) for cloud in places},
        memory=_memory(asked),
    )
    if asked.accelerator is not None:
        among = places or dict.fromkeys(market.missing)
        wish = wish._replace(accelerators=naming.named(asked.accelerator.name, market.prices, among))
    if asked.instance_type is not None:
        _refuse_type(wish, asked.instance_type, market)
    return wish


def stocks(wish: Wish, cloud: str, market: Market) -> Iterable[Stock]:
    """The types of a cloud that may be meant; those that are not among them have another name or accelerator."""
    if registered(cloud).is_sized:
        return [cutting.cut(wish, each) for each in _meant_machines(wish, cloud, market)]
    return _meant_machines(wish, cloud, market)


def _meant_machines(wish: Wish, cloud: str, market: Market) -> Iterable[Stock]:
    """The rows of a price table that may be meant."""
    if wish.asked.instance_type is not None and registered(cloud).is_sized:
        size = sized.parse(wish.asked.instance_type)
        every = stock.of(market.prices, cloud)
        return [
            each for each in every if size is not None and size.accelerator.lower() in ("", each.accelerator.lower())
        ]
    if wish.asked.instance_type is not None:
        return [each for each in stock.of(market.prices, cloud) if each.name == wish.asked.instance_type]
    if wish.asked.accelerator is not None:
        found = stock.by_accelerator(market.prices, cloud)
        return [each for name in wish.accelerators for each in found.get(name, ())]
    return stock.of(market.prices, cloud)


def matching(wish: Wish, cloud: str, market: Market) -> Iterable[Stock]:
    """Those of them that have the accelerators that are asked for, as many or an unknown number, or may do without;
    whatever else they lack."""
    for kind in stocks(wish, cloud, market):
        if kind.per_chip:
            continue
        if wish.asked.accelerator is not None:
            if not fits.other_accelerator(wish, kind, unknown=True):
                yield kind
        elif wish.asked.instance_type is not None or not fits.needless_accelerator(kind):
            yield kind


def _cpus(asked: Resources, cloud: str) -> str:
    said = facts.common("families")
    if asked.cpus or asked.accelerator is not None or asked.instance_type is not None:
        return asked.cpus or ""
    if asked.memory:
        return str(said["cpus_beside_memory"].get(cloud, ""))
    return str(said["cpus"].get(cloud, said["cpus"]["*"]))


def _memory(asked: Resources) -> str:
    if asked.memory or asked.accelerator is not None or asked.instance_type is not None:
        return asked.memory or ""
    return str(facts.common("families")["memory"])


def _barred(asked: Resources, cloud: str, nodes: int, places: Mapping[str, str | None]) -> str:
    """Why a whole cloud cannot serve; "" where it can."""
    if cloud not in places:
        return f"{asked.infra} is asked for"
    if asked.image is not None and asked.image.cloud not in (None, cloud):
        return f"image {asked.image.ours} is on the {asked.image.cloud} cloud"
    return lacking(asked, cloud, nodes)


def lacking(asked: Resources, cloud: str, nodes: int) -> str:
    """What a cloud does not have at all of what a candidate asks for, in words; "" where it has all."""
    said = facts.common("features")
    own = json.dumps(asked.config.get(cloud) or {})
    for need in needs(asked, nodes):
        given = any(word in own for word in said["unless"].get(need, {}).get(cloud, ()))
        if cloud in said["lacking"][need]["clouds"] and not given:
            return str(said["lacking"][need]["why"])
    return ""


def needs(asked: Resources, nodes: int) -> list[str]:
    """What a candidate asks of a cloud, by the names of data/features.json."""
    leaves = asked.autostop is not None and asked.autostop.enabled
    ends = leaves and asked.autostop is not None and asked.autostop.down
    asks = {
        "nodes": nodes > 1,
        "spot": bool(asked.use_spot),
        "disk_tier": asked.disk_tier not in (None, "best"),
        "disk_tier_ultra": asked.disk_tier == "ultra",
        "network_tier": asked.network_tier == "best",
        "container": _container(asked),
        "stop": leaves and not ends,
        "end": ends,
        "mount": asked.mounts,
    }
    return [name for name, there in asks.items() if there]


def _container(asked: Resources) -> bool:
    if asked.image is None:
        return False
    names = asked.image.by_region.values()
    return asked.image.container is not None or any(re.match("docker:", name) for name in names)


def _refuse_type(wish: Wish, name: str, market: Market) -> None:
    """BadInput for a type that no cloud has that it is asked of, or that is not what else is asked for."""
    asked = wish.asked
    if asked.infra.cloud is not None and asked.infra.cloud not in market.missing:
        return
    clouds = [cloud for cloud in market.missing if asked.infra.cloud in (None, cloud)]
    found = [each for cloud in clouds for each in _named(name, cloud, market)]
    if not found:
        raise _unknown_type(name, clouds, market)
    wrong = [fits.contradiction(wish, each) for each in found]
    if all(wrong):
        raise BadInput(f"{name} {wrong[0]}", hint="leave out the type, or what it does not have")


def _named(name: str, cloud: str, market: Market) -> list[Stock]:
    if registered(cloud).is_sized:
        size = sized.parse(name)
        return [] if size is None else [sized.of_size(size, each) for each in stock.of(market.prices, cloud)]
    there = [each for each in stock.of(market.prices, cloud) if each.name == name and not each.per_chip]
    known = None if there or market.whole else stock.unpriced(cloud, name)
    return there if known is None else [known]


def _unknown_type(name: str, clouds: list[str], market: Market) -> BadInput:
    elsewhere = [cloud for cloud in market.missing if cloud not in clouds and _named(name, cloud, market)]
    where = clouds[0] if len(clouds) == 1 else "any cloud"
    if elsewhere:
        return BadInput(f"{name}: no instance type of {where}", hint=f"{elsewhere[0]} has it")
    known = {each.name for cloud in clouds for each in stock.of(market.prices, cloud)}
    if not market.whole:
        known.update(*(refreshed.types(cloud) for cloud in clouds))
    return BadInput(
        f"{name}: no instance type of {where}", hint=slips.did_you_mean(name, known, "names are the cloud's own")
    )
