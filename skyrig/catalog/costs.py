"""What a cluster costs an hour while it is up."""

from __future__ import annotations

from skyrig.catalog import egress, instances, sources
from skyrig.cluster.shape import Shape


def of_shape(shape: Shape) -> float | None:
    """USD an hour of a cluster of this shape while it is up; None where the price of its nodes is not known."""
    if shape.cloud == "local":
        return 0.0
    machine = shape.machine
    spot = machine.capacity.kind == "spot"
    return hourly(shape.cloud, machine.region, machine.instance_type, spot, len(shape.nodes), machine.egress)


def hourly(cloud: str, region: str, instance_type: str, spot: bool, nodes: int, way: str) -> float | None:
    """USD an hour of so many nodes, their gateways and addresses; None where the price of the type is not known.
    `way` is how they reach the internet, "" what is chosen by default."""
    each = _node(cloud, region, instance_type, spot)
    return None if each is None else nodes * each + egress.hourly(cloud, way or egress.default(nodes), nodes)


def said(hourly: float | None) -> str:
    """An hourly price for the reader."""
    return "price not known" if hourly is None else f"${hourly:.2f}/h"


def _node(cloud: str, region: str, instance_type: str, spot: bool) -> float | None:
    """Of one node. A type whose accelerators alone have a price names it in its fact `priced_as`."""
    kind = instances.of_cloud(cloud).get(instance_type)
    if kind is None or "priced_as" not in kind.facts:
        return sources.hourly(cloud, region, instance_type, spot=spot)
    one = sources.hourly(cloud, region, kind.facts["priced_as"], spot=spot)
    return None if one is None else one * kind.accelerator_count
