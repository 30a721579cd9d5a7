"""The machines of a stack, as Nebius has them."""

from __future__ import annotations

from typing import Any

from skyrig.clouds.cloud import SeenMachine
from skyrig.clouds.nebius.door import INSTANCE, Door
from skyrig.clouds.nebius.switching import OFF, addresses
from skyrig.clouds.nebius.things import is_of

_GOING = ("DELETING",)


def of_stack(door: Door, stack: str) -> list[SeenMachine]:
    """The machines of the stack that are there."""
    return [_seen(each) for each in door.listed(INSTANCE) if is_of(each, stack) and not _going(each)]


def _going(instance: Any) -> bool:
    return instance.status.state.name in _GOING


def _seen(instance: Any) -> SeenMachine:
    return SeenMachine(
        node_id=dict(instance.metadata.labels).get("skyrig-node", ""),
        machine=str(instance.metadata.id),
        power="stopped" if instance.status.state.name in OFF else "up",
        **addresses(instance),
    )
