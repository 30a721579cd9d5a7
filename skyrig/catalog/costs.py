"""What a cluster costs an hour while it is up."""

from __future__ import annotations

from collections.abc import Sequence

from skyrig.catalog import ages, balancers, egress, instances, sources
from skyrig.catalog.prices import Price
from skyrig.cluster.shape import Shape


def of_shape(shape: Shape) -> float | None:
    """USD an hour of a cluster of this shape while it is up; None where the price of its nodes is not known. Capacity
    that the user has already costs what the user's own prices say of it."""
    if not shape.is_rented:
        return 0.0
    machine = shape.machine
    own = sources.reservation(shape.cloud, machine.capacity.id) if machine.capacity.kind == "reservation" else None
    if own is not None:
        count = len(shape.nodes)
        return count * own.hourly + network(shape.cloud, machine.egress, count, shape.balanced)
    spots = [paid.kind == "spot" for paid in shape.paid]
    return of_nodes(shape.cloud, machine.region, machine.instance_type, spots, machine.egress, shape.balanced)


def hourly(cloud: str, region: str, instance_type: str, spot: bool, nodes: int, way: str) -> float | None:
    """USD an hour of so many nodes, their gateways and addresses; None where the price of the type is not known.
    `way` is how they reach the internet, "" what is chosen by default."""
    return of_nodes(cloud, region, instance_type, [spot] * nodes, way)


def of_nodes(
    cloud: str, region: str, instance_type: str, spots: Sequence[bool], way: str, balanced: int = 0
) -> float | None:
    """The same of nodes of which each is spot or not, with a balancer of the cloud before so many ports (0: none); None
    where one of the prices is not known."""
    total = network(cloud, way, len(spots), balanced)
    for spot in set(spots):
        each = _node(cloud, region, instance_type, spot)
        if each is None:
            return None
        total += spots.count(spot) * each
    return total


def network(cloud: str, way: str, nodes: int, balanced: int = 0) -> float:
    """USD an hour of the gateways and addresses of so many nodes, and of a balancer of the cloud before so many ports;
    `way` as for `hourly`."""
    return egress.hourly(cloud, way or egress.default(nodes, cloud), nodes) + balancers.hourly(cloud, balanced)


def said(hourly: float | None, as_of: str = "") -> str:
    """An hourly price for the reader; with the age of a price as of then, where it is old."""
    if hourly is None:
        return "price not known"
    old = ages.remark(as_of) if as_of else ""
    return f"${hourly:.2f}/h ({old})" if old else f"${hourly:.2f}/h"


def remark(shape: Shape) -> str:
    """How old the price of a cluster's nodes is, where that should be known before it is paid; "" where it is fresh."""
    if not shape.is_rented:
        return ""
    price, _ = _price(shape.cloud, shape.machine.region, shape.machine.instance_type)
    return "" if price is None else ages.remark(price.as_of)


def _node(cloud: str, region: str, instance_type: str, spot: bool) -> float | None:
    """Of one node."""
    price, times = _price(cloud, region, instance_type)
    one = None if price is None else price.spot if spot else price.on_demand
    return None if one is None else one * times


def _price(cloud: str, region: str, instance_type: str) -> tuple[Price | None, float]:
    """A price and how often a node pays it: a type whose accelerators alone have one names it in its fact
    `priced_as`."""
    kind = instances.of_cloud(cloud).get(instance_type)
    if kind is None or "priced_as" not in kind.facts:
        return sources.find(cloud, region, instance_type), 1
    return sources.find(cloud, region, kind.facts["priced_as"]), kind.accelerator_count
