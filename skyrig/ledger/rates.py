"""What a shape costs an hour, up and stopped, by the prices of the catalog as they are now."""

from __future__ import annotations

from skyrig.catalog import costs, disks
from skyrig.cluster.shape import Shape


def up(shape: Shape) -> float | None:
    """USD an hour while it is up; None where that is not known."""
    if shape.is_data:
        return 0.0
    return costs.of_shape(shape)


def stopped(shape: Shape) -> float | None:
    """USD an hour while its nodes are stopped: boot disks, addresses, gateways and balancer stay. None where that is
    not known."""
    if not shape.is_rented or shape.is_data:
        return 0.0
    machine, nodes = shape.machine, len(shape.nodes)
    kind = disks.boot(shape.cloud, machine.instance_type, machine.disk_tier)
    each = disks.hourly(shape.cloud, kind, machine.disk_gb)
    network = costs.network(shape.cloud, machine.egress, nodes, shape.balanced)
    return None if each is None else nodes * each + network


def of(shape: Shape) -> float | None:
    """USD an hour in the power that it shall have; None where that is not known."""
    return {"up": up, "stopped": stopped}[shape.power](shape) if shape.power != "down" else 0.0
