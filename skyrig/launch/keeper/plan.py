"""What is decided about a job when its turn has come, and kept beside its record so that a restarted keeper goes on
where the old one was, whenever that was."""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from skyrig.cluster.description import ClusterDescription
from skyrig.launch.job import CONVERTER
from skyrig.launch.keeper.gang import Verdict
from skyrig.launch.keeper.queue import Placement, Share


@frozen
class Plan:
    """`shares`: what the job holds of each of its nodes, in rank order; `incarnations` of all nodes it has to do with.
    `setup`: ids of the nodes where its setup is run, None while that is not decided. `port`: the rendezvous port of
    rank 0, 0 while there is none. `cancel`: why the job shall end, "" if it shall not. `manifest`: of its files.
    `verdict`: why it fails, once that is settled."""

    shares: dict[str, Share] = field(factory=dict)
    incarnations: dict[str, str] = field(factory=dict)
    setup: tuple[str, ...] | None = None
    port: int = 0
    cancel: str = ""
    manifest: str = ""
    verdict: Verdict | None = None

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

    def to_json(self) -> Any:
        """Plain data."""
        return CONVERTER.unstructure(self)


def from_json(data: Any) -> Plan:
    """Read `to_json` back."""
    return CONVERTER.structure(data, Plan)
