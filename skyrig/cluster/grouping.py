"""Clusters whose nodes are of several markets: which node is in which group. Pure functions.

A node keeps the group that it was made in, as another group is another machine: a wish for nodes of a market is met by
nodes that come, never by changing those that are there.
"""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve

from skyrig.cluster.machine import MAIN, ONDEMAND
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.errors import BadInput


def spot_nodes(shape: Shape) -> tuple[str, ...]:
    """Ids of the nodes that the cloud may take back, in rank order."""
    return tuple(node.id for node, paid in zip(shape.nodes, shape.paid, strict=True) if paid.kind == "spot")


def fresh(shape: Shape, count: int, ondemand: int) -> Shape:
    """`shape` for a cluster that is not there yet: `count` nodes, the first `ondemand` of which, so the head before
    all others, are not spot, whatever the rest is going to be. BadInput where these numbers make no sense."""
    _refuse(count, ondemand)
    nodes = (WantedNode(f"n{rank}", ONDEMAND if rank < ondemand else MAIN) for rank in range(count))
    return evolve(shape, nodes=tuple(nodes))


def with_ondemand(shape: Shape, count: int, ondemand: int) -> Shape:
    """`shape` with `count` nodes, of which `ondemand` at least are not spot, as far as nodes that come can do that.

    Nodes that are there stay as they are, also where they are more than `count` (`without` takes nodes away). New ones
    take the lowest free ids at the end, and are on demand until there are `ondemand` such nodes. BadInput where these
    numbers make no sense."""
    _refuse(count, ondemand)
    lacking = ondemand - (len(shape.nodes) - len(spot_nodes(shape)))
    apart = ONDEMAND if shape.machine.capacity.kind == "spot" else MAIN
    taken, nodes, number = {node.id for node in shape.nodes}, list(shape.nodes), 0
    while len(nodes) < count:
        if f"n{number}" not in taken:
            nodes.append(WantedNode(f"n{number}", apart if lacking > 0 else MAIN))
            lacking -= 1
        number += 1
    return evolve(shape, nodes=tuple(nodes))


def without(shape: Shape, ids: Collection[str]) -> Shape:
    """`shape` without those nodes; the others keep their order. Ids that it does not have are passed over. BadInput for
    the head: a cluster without it is another one."""
    if shape.nodes and shape.nodes[0].id in ids:
        raise BadInput(f"{shape.nodes[0].id} is the head, and stays as long as its cluster")
    return evolve(shape, nodes=tuple(node for node in shape.nodes if node.id not in ids))


def renewed(shape: Shape, node_ids: Collection[str]) -> Shape:
    """`shape` with another machine behind each of those ids, be the one that is there alive or not; never the head."""
    head, *others = shape.nodes
    nodes = (evolve(node, version=node.version + 1) if node.id in node_ids else node for node in others)
    return evolve(shape, nodes=(head, *nodes))


def _refuse(count: int, ondemand: int) -> None:
    if count < 1 or not 0 <= ondemand <= count:
        raise BadInput(f"{count} nodes, {ondemand} of them on demand: these numbers make no cluster")
