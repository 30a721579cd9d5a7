"""What clusters have cost and cost now: the stacks of this backend, also those that were removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from skyrig.cluster.clouds import registered
from skyrig.errors import SkyrigError
from skyrig.ledger.intervals import Interval
from skyrig.ledger.report import Report, StackCost, report
from skyrig.provision import no_such_cluster
from skyrig.stack import autostopped, described, powers, spent, stacks

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_STATUS = {"up": "UP", "stopped": "STOPPED"}


def cost(
    names: Sequence[str] | None, days: int, notify: Notify, *, free: bool = False, refresh: bool = False
) -> Report:
    """What the stacks called `names` (None: all there ever were) have cost in the last `days` days, and cost now. With
    `free` the local cloud's too. Clusters that may have gone off by themselves are looked at; with `refresh` all."""
    there = stacks.everything()
    known = sorted({*there, *spent.remembered()})
    for name in names or ():
        if name not in known:
            raise no_such_cluster(name)
    found = {name: _intervals(name, name in there, refresh, notify) for name in (known if names is None else names)}
    return report(found, days, time.time(), free=free)


def rows(found: Report) -> list[dict[str, Any]]:
    """The rows of SkyPilot's `cost_report`: `duration` in seconds, `total_cost` in USD, `status` None where the
    cluster is gone."""
    return [_row(each) for each in found.stacks]


def _row(each: StackCost) -> dict[str, Any]:
    return {
        "name": each.name,
        "launched_at": int(each.began),
        "duration": int(each.spent.seconds),
        "num_nodes": each.nodes,
        "resources": each.what,
        "total_cost": round(each.spent.usd, 4),
        "status": _STATUS.get(each.power),
        "cloud": each.cloud,
        "region": each.region,
        "accelerators": each.accelerators or None,
        "usage_intervals": [list(span) for span in each.spans],
    }


def _intervals(name: str, is_there: bool, refresh: bool, notify: Notify) -> list[Interval]:
    """The intervals of one stack, after a look whether what should be up is."""
    if is_there:
        spent.keep(name)
    found = spent.of(name, is_there)
    last = found[-1] if found else None
    if last is None or last.end is not None or not registered(last.cloud).is_rented:
        return found
    if not is_there:
        notify(f"{name}: its stack was removed when it was {last.power}; it is counted on")
    elif last.power == "up" and _is_off(name, refresh):
        spent.note_off(name, time.time())
        return spent.of(name, is_there)
    return found


def _is_off(name: str, refresh: bool) -> bool:
    """Whether no node of a cluster on a cloud is up, where the cloud can say so. Asked where it may be so."""
    note = autostopped.left(name)
    if not refresh and (note is None or note.idle_s is None):
        return False
    try:
        cluster = described.describe(name)
        return cluster is not None and "up" not in powers.asked(cluster).values()
    except SkyrigError:
        return False
