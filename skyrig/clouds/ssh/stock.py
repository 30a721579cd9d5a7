"""What the user's own machines offer: a type for those that are alike, in the region of their pool, at no price.

What was seen is kept beside the table. It holds for a while, and as long as the inventory is the same; a machine that
does not answer now counts as what it was when it last did. Whether machines are free is found out where they are taken.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyrig import places
from skyrig.catalog import refreshed
from skyrig.catalog.prices import Price
from skyrig.catalog.refreshed import Refreshed
from skyrig.clouds.ssh import inventory, kinds, looking
from skyrig.clouds.ssh.inventory import Inventory
from skyrig.errors import SkyrigError

if TYPE_CHECKING:
    from skyrig.task.config import Config

CLOUD = "ssh"

FRESH_S = 300.0
"""How long what was seen holds, in seconds."""

_SOURCE = "your own machines"


def look(_config: Config | None = None) -> bool:
    """Look at the machines where what is known of them is old; whether what they offer has changed. They are the same
    for all tasks."""
    try:
        listed = inventory.read()
    except SkyrigError:  # `check` and `missing` tell of it
        return False
    known = _kept()
    is_same = known.get("digest") == listed.digest
    if is_same and abs(time.time() - known.get("at", 0)) < FRESH_S and refreshed.table(CLOUD).exists():
        return False
    before = known.get("machines", {}) if is_same else {}
    now = {
        seen.machine.title: {key: seen.said[key] for key in ("cpus", "memory_gib", "gpus", "arch")}
        for seen in looking.at(listed.pools)
        if seen.said is not None
    }
    machines = {**before, **now}
    found = offered(listed, machines)
    is_new = (found.rows, dict(found.types)) != (refreshed.rows(CLOUD), dict(refreshed.told(CLOUD)))
    try:
        if is_new:
            refreshed.write(CLOUD, found, date.today().isoformat())
        _keep({"digest": listed.digest, "at": time.time(), "machines": machines})
    except OSError:  # nowhere to keep it: nothing is offered then
        return False
    return is_new


def offered(listed: Inventory, machines: Mapping[str, Mapping[str, Any]]) -> Refreshed:
    """The types of all pools, of what was seen of each machine by its title."""
    rows: dict[tuple[str, str], Price] = {}
    types: dict[str, dict[str, Any]] = {}
    today = date.today().isoformat()
    for pool in listed.pools:
        for machine in pool.machines:
            if machine.title not in machines:
                continue
            kind = kinds.of(machine, machines[machine.title])
            types[kind.name] = kind.to_json()
            rows[pool.region, kind.name] = Price(
                CLOUD, pool.region, kind.name, kind.accelerator, kind.count, kind.cpus, kind.memory_gib, 0.0, None,
                today, _SOURCE,
            )  # fmt: skip
    return Refreshed(tuple(rows[place] for place in sorted(rows)), types, {}, _SOURCE, len(rows))


def _file() -> Path:
    return refreshed.folder() / f"{CLOUD}.seen.json"


def _kept() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def _keep(said: Mapping[str, Any]) -> None:
    part = places.made(_file().parent) / f"{_file().name}.{os.getpid()}"
    part.write_text(json.dumps(said))
    part.replace(_file())
