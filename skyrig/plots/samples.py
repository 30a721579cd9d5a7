"""The use of nodes while a job ran, out of the lines that the head has written: one JSON object a sample.

`t` is unix time, `n` the node; the others are GAUGES, each missing where it is not known. Lines of anything else, torn
ones and unknown names are passed over: a newer head may write more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from skyrig.plots.values import NodeUse

GAUGES: Mapping[str, str] = {
    "cpu": "cores",
    "cores": "cores",
    "memory": "bytes",
    "memory_total": "bytes",
    "received": "bytes/s",
    "sent": "bytes/s",
    "read": "bytes/s",
    "written": "bytes/s",
    "gpus": "",
    "gpu": "percent",
    "gpu_memory": "bytes",
    "gpu_memory_total": "bytes",
    "gpu_power": "watts",
    "gpu_temperature": "degrees Celsius",
}
"""What is measured of a node, and in what. `cpu` is how many cores were at work; of several GPUs `gpu` is the mean,
`gpu_temperature` the highest, the others are sums."""


def read(lines: Iterable[bytes]) -> tuple[NodeUse, ...]:
    """The samples, by node in the order of their names, each in the order of time."""
    found: dict[str, dict[float, Mapping[str, Any]]] = {}
    for line in lines:
        try:
            said = json.loads(line)
            node, at = said["n"], float(said["t"])
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
        if isinstance(node, str) and math.isfinite(at):
            found.setdefault(node, {})[at] = said
    return tuple(_use(node, found[node]) for node in sorted(found, key=_in_order))


def _use(node: str, said: Mapping[float, Mapping[str, Any]]) -> NodeUse:
    at = tuple(sorted(said))
    gauges = {name: tuple(_number(said[moment].get(name)) for moment in at) for name in GAUGES}
    known = {name: values for name, values in gauges.items() if any(value is not None for value in values)}
    return NodeUse(node, at, known)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _in_order(node: str) -> tuple[str, int, str]:
    """n2 before n10."""
    digits = node[len(node.rstrip("0123456789")) :]
    return node[: len(node) - len(digits)], int(digits[:15] or 0), node
