"""Whether a machine is up, and whether it was started since it was last looked at.

Azure does not say when a machine was started. It says of a disk when its ownership last changed: when it was attached,
or its machine was deallocated or started.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from skyrig.clouds.azure.arm import COMPUTE, Arm, power_of

DISKS = "2024-03-02"
"""Version of the API of disks: LastOwnershipUpdateTime is in those since 2022-07-02."""

UP = frozenset({"running", "starting", "unknown"})
"""States of a machine that is up, or comes up; one that is being made has none yet."""

_MAKING = timedelta(hours=1)
"""How long after a machine was made a change of its disk's ownership may belong to that."""


@frozen
class Seen:
    """What is seen of a machine: its `state` in Azure's words ("": it is gone), when its boot disk's ownership last
    changed (`since`) and when it was `made` (ISO 8601, "" where that is not known)."""

    state: str
    since: str = ""
    made: str = ""

    def outs(self) -> dict[str, str]:
        """What of it is kept in a stack's state."""
        return {"state": self.state, "seen": "up" if self.state in UP else "stopped", "since": self.since}


def look(where: Arm, machine: str) -> Seen:
    """What is seen now of a machine by its resource id."""
    found = where.get(machine, COMPUTE, **{"$expand": "instanceView"})
    if found is None:
        return Seen("")
    properties = found.get("properties", {})
    view, made = properties.get("instanceView", {}), str(properties.get("timeCreated", ""))
    return Seen(power_of(view), _since(where, properties), made)


def boot_of(olds: Mapping[str, Any], now: Seen) -> str:
    """The text that tells one start of a machine from the next, from what was known of it and what is seen now: the
    old one, unless it was off and runs now, or its disk changed hands meanwhile."""
    boot, before = str(olds.get("boot") or ""), str(olds.get("since") or "")
    if now.state != "running":
        return boot
    was_off = olds.get("state") not in ("running", "unknown")
    changed = now.since != before if before else not boot and _long_after(now)
    return now.since or secrets.token_hex(4) if was_off or changed else boot


def _long_after(now: Seen) -> bool:
    """Whether the disk of a machine that was not looked at yet changed hands long after the machine was made."""
    if not (now.since and now.made):
        return False
    return datetime.fromisoformat(now.since) - datetime.fromisoformat(now.made) > _MAKING


def _since(where: Arm, properties: Mapping[str, Any]) -> str:
    disk = properties.get("storageProfile", {}).get("osDisk", {}).get("managedDisk", {}).get("id", "")
    found = (where.get(disk, DISKS) if disk else None) or {}
    said = {name.lower(): value for name, value in found.get("properties", {}).items()}
    return str(said.get("lastownershipupdatetime", ""))  # the one property that Azure writes with a capital letter
