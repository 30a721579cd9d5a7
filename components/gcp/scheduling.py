"""How machines are paid for, as Compute Engine says it. Pure functions."""

from typing import Any

from skyrig.catalog.instances import InstanceType
from skyrig.cluster.machine import Capacity

FLEX_SECONDS = (600, 604_800)
"""Shortest and longest run of flex start in seconds."""


def scheduling(kind: InstanceType, capacity: Capacity, placed: bool) -> dict[str, Any]:
    """The `scheduling` of an instance, which may be `placed` by a policy. Machines with accelerators cannot move to
    another host, so they end with theirs, and start again where no policy forbids it. A preempted machine is stopped,
    not deleted: it can start again, under its own id."""
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
    return {"provisioning_model": model, "automatic_restart": not placed, "on_host_maintenance": moving}


def affinity(capacity: Capacity) -> dict[str, Any] | None:
    """The `reservation_affinity` of an instance: the reservation that is named; none with flex start, which takes none;
    else Google's own choice: a reservation that is paid for and open to all machines of the project is used first."""
    if capacity.kind == "flex":
        return {"type": "NO_RESERVATION"}
    if capacity.kind != "reservation":
        return None
    named = {"key": "compute.googleapis.com/reservation-name", "values": [capacity.id]}
    return {"type": "SPECIFIC_RESERVATION", "specific_reservation": named}
