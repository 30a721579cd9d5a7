"""What is decided about a job when its turn has come, and kept beside its record so that a restarted keeper goes on
where the old one was, whenever that was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import evolve, field, frozen

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.launch.job import CONVERTER
from skyrig.launch.keeper.gang import Verdict
from skyrig.launch.keeper.queue import Placement, Share


@frozen
class Plan:
    """`shares`: what the job holds of each of its nodes, in rank order; `incarnations` of all nodes it has to do with.
    `setup`: ids of the nodes where its setup is run, None while that is not decided. `port`: the rendezvous port of
    rank 0, 0 while there is none. `cancel`: why the job shall end, "" if it shall not. `manifest`: of its files.
    `verdict`: why it fails, once that is settled. `hang`: how it was found to stand still, "" if it was not.

    Of a job that goes on without some of its nodes (JobRequest.min_nodes): `nodes` are its own by id, as they were when
    it came to them; `lost` says why there is no rank on a node any more; `lives` are what the folders of those ranks
    are called that joined later, `tries` how often that was begun on a node, `bases` how much of each such folder's
    rank stood in the log before; process failures before the moment `excused` (seconds since the epoch) are no fault of
    the job's."""

    shares: dict[str, Share] = field(factory=dict)
    incarnations: dict[str, str] = field(factory=dict)
    setup: tuple[str, ...] | None = None
    port: int = 0
    cancel: str = ""
    manifest: str = ""
    verdict: Verdict | None = None
    hang: str = ""
    nodes: dict[str, Node] = field(factory=dict)
    lost: dict[str, str] = field(factory=dict)
    lives: dict[str, str] = field(factory=dict)
    tries: dict[str, int] = field(factory=dict)
    bases: dict[str, int] = field(factory=dict)
    excused: float = 0.0

    @property
    def placement(self) -> Placement:
        """The same as the queue counts it."""
        return Placement(tuple(self.shares), self.shares)

    def with_changes(self, **changes: Any) -> Plan:
        """A copy with some fields changed."""
        return evolve(self, **changes)

    def missing(self, cluster: ClusterDescription) -> list[str]:
        """Ids of the job's nodes that `cluster` no longer has, or behind which there is another machine by now."""
        present = {node.id: node.incarnation for node in cluster.nodes}
        return [node_id for node_id in self.shares if present.get(node_id) != self.incarnations.get(node_id)]

    def bears(self, missing: Iterable[str], min_nodes: int) -> bool:
        """Whether the job goes on without these nodes beside those that it lost: never without its first one, which
        holds the rendezvous."""
        gone = {*missing, *self.lost}
        return min_nodes > 0 and next(iter(self.shares)) not in gone and len(self.shares) - len(gone) >= min_nodes

    def to_json(self) -> Any:
        """Plain data."""
        return CONVERTER.unstructure(self)


def from_json(data: Any) -> Plan:
    """Read `to_json` back."""
    return CONVERTER.structure(data, Plan)
