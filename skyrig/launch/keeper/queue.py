"""The queue as a pure function: which job may start now, and on which nodes.

Strictly first in, first out: a job that does not fit holds back all behind it, so that a large one is never starved;
but for one that names its nodes, which waits for these alone.
Jobs run side by side where the nodes' accelerators (or, on nodes without, cores) are free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from skyrig.cluster.description import Node
from skyrig.launch.job import JobRequest


@frozen
class Demand:
    """What one job takes of each of its nodes: whole accelerators and cores, or all of it with `whole`. `on` are its
    nodes where it names them."""

    num_nodes: int
    accelerators: int
    cpus: float
    on: tuple[str, ...] = ()
    whole: bool = False

    @classmethod
    def of(cls, request: JobRequest) -> Demand:
        """What `request` takes."""
        whole = request.preflight is not None and request.preflight.alone
        return cls(request.num_nodes, request.accelerators, request.cpus, request.on, whole)


@frozen
class Share:
    """What a running job holds of one node: the indices of its accelerators, and cores."""

    gpus: tuple[int, ...] = ()
    cpus: float = 0.0


@frozen
class Placement:
    """Nodes of a job in rank order, with its share of each."""

    nodes: tuple[str, ...]
    shares: Mapping[str, Share] = field(factory=dict)


def place(demand: Demand, nodes: Sequence[Node], held: Sequence[Placement]) -> Placement | None:
    """Nodes for `demand` beside what is `held`, lowest ranks first or those that it names; None while too few have
    room."""
    chosen: dict[str, Share] = {}
    for node in _candidates(demand, nodes):
        share = _share(demand, node, [placement.shares[node.id] for placement in held if node.id in placement.shares])
        if share is not None:
            chosen[node.id] = share
        if len(chosen) == demand.num_nodes:
            return Placement(tuple(chosen), chosen)
    return None


def refusal(demand: Demand, nodes: Sequence[Node]) -> str | None:
    """Why `demand` can never run on `nodes`, or None if it can once they are free."""
    there = {node.id for node in nodes}
    if strangers := [each for each in demand.on if each not in there]:
        return f"the job wants to run on {', '.join(strangers)}, which the cluster does not have"
    if demand.num_nodes > len(nodes):
        return f"the job wants {demand.num_nodes} nodes, the cluster has {len(nodes)}"
    nodes = _candidates(demand, nodes)
    most = sorted((node.accelerators.count for node in nodes), reverse=True)[demand.num_nodes - 1]
    if demand.accelerators > most:
        return f"the job wants {demand.accelerators} accelerators a node, the cluster's nodes have {most}"
    return None


def waits_for(never: str, removed: Sequence[str], taken: Sequence[str], cordoned: Sequence[str] = ()) -> str:
    """`never`, a refusal, with the nodes named that are not counted: those about to be removed, or taken away, and
    those that a preflight found bad."""
    fates = {"about to be removed": removed, "about to be taken away": [each for each in taken if each not in removed]}
    fates["cordoned"] = [each for each in cordoned if each not in (*removed, *taken)]
    without = [f"without {', '.join(nodes)}, {fate}" for fate, nodes in fates.items() if nodes]
    return ", ".join([never, *without])


def _candidates(demand: Demand, nodes: Sequence[Node]) -> Sequence[Node]:
    """The nodes that it may run on, in the order in which they are its ranks."""
    named = {node.id: node for node in nodes if node.id in demand.on}
    return [named[each] for each in demand.on if each in named] if demand.on else nodes


def _share(demand: Demand, node: Node, held: Sequence[Share]) -> Share | None:
    if demand.whole:
        return None if held else Share(tuple(range(node.accelerators.count)), node.cpus)
    taken = {gpu for share in held for gpu in share.gpus}
    free = [gpu for gpu in range(node.accelerators.count) if gpu not in taken]
    if len(free) < demand.accelerators:
        return None
    if demand.accelerators:  # cores come along with accelerators, so they are not counted apart
        return Share(gpus=tuple(free[: demand.accelerators]))
    wanted = min(demand.cpus, node.cpus)  # a job that wants more cores than a node has gets the node to itself
    busy = sum(share.cpus for share in held)
    return Share(cpus=wanted) if busy + wanted <= node.cpus + 1e-9 else None
