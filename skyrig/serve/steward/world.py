"""What a steward sees at one moment: nodes, jobs, answers to probes, requests in flight, load."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import field, frozen

from skyrig.launch.job import JobRecord


@frozen
class Machine:
    """One node of the cluster; `lost`: it has not answered for a while; `silent`: not the last time."""

    id: str
    lost: bool = False
    silent: bool = False


@frozen
class Answer:
    """How the last probe of a replica went: `why` says what was wrong where it was not `good`."""

    good: bool
    why: str = ""


@frozen
class World:
    """What is seen at `now` (seconds since the epoch). By replica id: the keeper's `jobs` (None: the keeper does not
    answer), what was `refused` and why, the last `answers`, and requests in `flights` (None: they cannot be counted).
    `need` is the load in replicas, so many at their target each (None: not known, or not by load). `watched`: somebody
    who can make nodes is there."""

    now: float
    nodes: tuple[Machine, ...]
    jobs: Mapping[int, JobRecord] | None = field(factory=dict)
    refused: Mapping[int, str] = field(factory=dict)
    answers: Mapping[int, Answer] = field(factory=dict)
    flights: Mapping[int, int] | None = field(factory=dict)
    need: float | None = None
    watched: bool = False

    @property
    def head(self) -> str:
        """Id of the node that the steward is on ("" where the cluster is not known)."""
        return self.nodes[0].id if self.nodes else ""

    def usable(self, node_id: str) -> bool:
        """Whether the cluster has this node, and it answers."""
        return any(node.id == node_id and not (node.lost or node.silent) for node in self.nodes)

    def lost(self, node_ids: Collection[str]) -> list[str]:
        """Those of these nodes that are lost."""
        return [node.id for node in self.nodes if node.lost and node.id in node_ids]
