"""How nodes are paid for, in the words of a launch template. Pure functions."""

from typing import Any

from skyrig.cluster.machine import Capacity


def options(capacity: Capacity) -> dict[str, Any]:
    """Properties of a launch template: market and reservation; none on demand."""
    if capacity.kind == "spot":
        # One-time, and gone when taken back: a persistent request starts instances that nobody asked for.
        spot = {"spot_instance_type": "one-time", "instance_interruption_behavior": "terminate"}
        return {"instance_market_options": {"market_type": "spot", "spot_options": spot}}
    target = {"capacity_reservation_target": {"capacity_reservation_id": capacity.id}}
    if capacity.kind == "block":
        return {
            "instance_market_options": {"market_type": "capacity-block"},
            "capacity_reservation_specification": target,
        }
    return {"capacity_reservation_specification": target} if capacity.kind == "reservation" else {}


def placed(capacity: Capacity) -> bool:
    """Whether nodes can be put into a placement group of their own: capacity that is reserved has its place already."""
    return capacity.kind in ("on-demand", "spot")
