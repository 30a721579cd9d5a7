"""How machines are paid for, as Compute Engine says it. Pure functions."""

from typing import Any

from skyrig.catalog.instances import InstanceType
from skyrig.cluster.machine import Capacity

FLEX_SECONDS = (600, 604_800)
"""Shortest and longest run of flex start in seconds."""


def scheduling(kind: InstanceType, capacity: Capacity) -> dict[str, Any]:
    """The `scheduling` of an instance. Machines with accelerators cannot move to another host, so they end with
    theirs, and start again there where nothing forbids it. A preempted machine is stopped, not deleted: it can start
    again, under its own id."""
    moving = "TERMINATE" if kind.accelerator else "MIGRATE"
    if capacity.kind == "spot":
        return {
            "provisioning_model": "SPOT",
            "preemptible": True,
            "automatic_restart": False,
            "on_host_maintenance": "TERMINATE",
            "instance_termination_action": "STOP",
        }
    if capacity.kind == "flex":
        return {
            "provisioning_model": "FLEX_START",
            "automatic_restart": False,
            "on_host_maintenance": "TERMINATE",
            "instance_termination_action": "DELETE",
            "max_run_duration": {"seconds": int(capacity.id)},
        }
    bound = capacity.kind == "reservation" and kind.facts.get("reservation_bound")
    model = "RESERVATION_BOUND" if bound else "STANDARD"
    return {"provisioning_model": model, "automatic_restart": True, "on_host_maintenance": moving}


def affinity(capacity: Capacity) -> dict[str, Any]:
    """The `reservation_affinity` of an instance: a reservation is used by who names it, and by nobody else, so that
    nothing runs in what others keep free."""
    if capacity.kind != "reservation":
        return {"type": "NO_RESERVATION"}
    named = {"key": "compute.googleapis.com/reservation-name", "values": [capacity.id]}
    return {"type": "SPECIFIC_RESERVATION", "specific_reservation": named}
