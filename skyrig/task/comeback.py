"""The section `config.skyrig.recovery`: how a managed job comes back, beyond what SkyPilot's `job_recovery` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from skyrig.task import quantities
from skyrig.task.node import Node

POLICIES = ("restart", "replace_node", "stop")
"""What may be done about lost nodes."""

ON_HANG = ("restart", "stop")
"""What may be done about a job that stands still."""

_SHORTEST_LEASE_S = 10
_LONGEST_S = 30 * 86400


@frozen
class Comeback:
    """What was said; None where nothing was. Times in seconds."""

    policy: str | None = None
    min_nodes: int | None = None
    hang_after: float | None = None
    on_hang: str | None = None
    lease: float | None = None
    early: bool | None = None


def read(node: Node) -> Comeback:
    """The section of a task file; all that is wrong is noted."""
    return Comeback(**node.read_fields(_TABLE))


def of_plain(values: object) -> Comeback:
    """The same from the section's plain values. Where these are wrong, which `read` has noted, it means nothing."""
    given = dict(values) if isinstance(values, Mapping) else {}
    for name in ("hang_after", "lease"):
        if isinstance(given.get(name), str):
            given[name] = quantities.seconds_of(given[name])
    for name in ("policy", "on_hang"):
        if isinstance(given.get(name), str):
            given[name] = given[name].lower()
    return Comeback(**{name: value for name, value in given.items() if name in _TABLE})


def _time(node: Node, least: int) -> int:
    found = quantities.seconds(node)
    if not least <= found <= _LONGEST_S:
        raise node.wrong(f"{node.shown} is out of range: {least} seconds to {_LONGEST_S // 86400} days is wanted")
    return found


_TABLE: Mapping[str, Any] = {
    "policy": lambda node: node.one_of(POLICIES),
    "min_nodes": lambda node: node.whole(1),
    "hang_after": lambda node: _time(node, 0),
    "on_hang": lambda node: node.one_of(ON_HANG),
    "lease": lambda node: _time(node, _SHORTEST_LEASE_S),
    "early": Node.switch,
}
