"""Cordoned nodes as values: nodes that get no more jobs since a preflight found them bad, until they are made anew or
somebody says that they are good again."""

from __future__ import annotations

import json
from collections.abc import Iterable

from attrs import asdict, frozen

from skyrig.cluster.description import Node

NOTE = "cordoned.json"
"""Name of the note in the stack's records folder."""


@frozen
class Cordon:
    """A node, of this `incarnation` alone: the machine that comes in its place is another one. `reason` is one clause,
    `at` in seconds since the epoch."""

    node: str
    incarnation: str
    reason: str
    at: float


def text(cordons: Iterable[Cordon]) -> str:
    """The note."""
    return json.dumps([asdict(each) for each in cordons])


def read(note: str | bytes) -> tuple[Cordon, ...]:
    """Read `text` back; none where it makes no sense."""
    try:
        return tuple(Cordon(**each) for each in json.loads(note))
    except (ValueError, TypeError):
        return ()


def of(cordons: Iterable[Cordon], nodes: Iterable[Node]) -> dict[str, Cordon]:
    """Those of nodes that are still the same machines, by id in the nodes' order."""
    known = {each.node: each for each in cordons}
    there = {node.id: node.incarnation for node in nodes}
    return {
        node_id: known[node_id]
        for node_id, machine in there.items()
        if node_id in known and known[node_id].incarnation == machine
    }
