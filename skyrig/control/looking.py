"""What there is of a ward's cluster, in a child process: backend, project and credentials are those of the ward."""

from __future__ import annotations

from typing import Any

from skyrig.cluster import description
from skyrig.control.look import Look
from skyrig.control.ward import Ward
from skyrig.errors import BadInput
from skyrig.stack import autostopped, config, described, powers, stacks


def look(ward: Ward) -> Look:
    """The cluster of a ward as it is now. Costs no engine call where nothing was deployed since the last one."""
    if not stacks.is_there(ward.stack):
        return Look()
    cluster = described.describe(ward.stack)
    note = autostopped.left(ward.stack)
    last = described.last(ward.stack) if note is not None and note.acted_at else None
    acted = autostopped.acted(last) if last is not None else None
    try:
        shape = config.read_shape(ward.stack)
        nodes, power = tuple(node.id for node in shape.nodes), shape.power
    except BadInput:  # somebody is editing it: what is deployed is what counts
        nodes, power = tuple(node.id for node in cluster.nodes) if cluster is not None else (), "up"
    found = powers.of(cluster) if cluster is not None else {}
    return Look(cluster, nodes, power, dict(found), acted.told if acted is not None else "")


def to_json(seen: Look) -> dict[str, Any]:
    """A look as plain data, with the cluster's private key: for the pipe to the controller alone."""
    return {
        "cluster": seen.cluster.to_json() if seen.cluster is not None else None,
        "nodes": list(seen.nodes),
        "power": seen.power,
        "powers": dict(seen.powers),
        "left": seen.left,
    }


def from_json(data: dict[str, Any]) -> Look:
    """What `to_json` wrote."""
    cluster = description.from_json(data["cluster"]) if data["cluster"] is not None else None
    return Look(cluster, tuple(data["nodes"]), data["power"], data["powers"], data["left"])
