"""What is known of nodes that are about to be taken away: kept in the table, for a keeper after this one and for what
is said of jobs that end of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import asdict, frozen

from skyrig.cluster.description import Node
from skyrig.launch.keeper.table import JobTable

FACT = "notices"

_WHAT = {
    "preemption": ("preemption of {}", "it was preempted"),
    "maintenance": ("maintenance that ends {}", "it went for maintenance"),
    "ttl": ("the time to live of {} is over", "its time to live was over"),
    "risk": ("preemption of {} is likely", "it was probably preempted"),
}
"""What each kind of notice announces, and what is said of a node that is lost after it."""

_OVER_S = 600.0
"""A node that is lost so long after its time was lost to something else."""
_OPEN_S = 7200.0
"""The same after a notice that named no time."""

_STAYS_S = 30.0
"""A node that is still there so long after its time stays: its cloud has thought better of it, or began it anew."""
_UNTOLD_S = 3600.0
"""The same after a notice that named no time: the longest of which one comes before (docs/preemption.md)."""


@frozen
class Notice:
    """A node (`incarnation` and `life`: Node's) is about to go. `at` is when that was heard, unix time of the head;
    `left_s` how long it had then, None where nobody said; `kind` and `source` are skyrig.launch.notices'."""

    id: str
    node: str
    incarnation: str
    life: str
    kind: str
    source: str
    at: float
    left_s: float | None = None

    @property
    def now_left_s(self) -> float | None:
        """Seconds that are left now."""
        return None if self.left_s is None else max(0.0, self.at + self.left_s - time.time())

    def __str__(self) -> str:
        """For the job's log."""
        left = self.now_left_s
        return f"{self._what[0].format(self.node)}{'' if left is None else f' in {left:.0f} s'} ({self.source})"

    @property
    def loss(self) -> str:
        """Why the node was lost."""
        return f"{self._what[1]} (notice {time.strftime('%H:%M:%S', time.gmtime(self.at))} UTC)"

    @property
    def explains_loss(self) -> bool:
        """Whether a node that is lost now was lost to this."""
        return time.time() < self.at + (_OPEN_S if self.left_s is None else self.left_s + _OVER_S)

    @property
    def keeps_jobs_away(self) -> bool:
        """Whether no new job is to come to the node now. A risk alone is none to them: it may last for days."""
        return self.kind != "risk" and time.time() < self.at + (
            _UNTOLD_S if self.left_s is None else self.left_s + _STAYS_S
        )

    def order(self) -> dict[str, Any]:
        """What a supervisor is told. Its words have no spaces between them."""
        said = {name: getattr(self, name) for name in ("id", "node", "kind", "source")}
        text = json.dumps({**said, "left_s": self.now_left_s}, separators=(",", ":")).replace(" ", "\\u0020")
        return {"op": "notice", "notice": text}

    @property
    def _what(self) -> tuple[str, str]:
        return _WHAT.get(self.kind, _WHAT["preemption"])


class Notices:
    """The newest notice of each node."""

    def __init__(self, table: JobTable) -> None:
        self._table = table
        self._known = {node: Notice(**said) for node, said in (table.fact(FACT) or {}).items()}

    def add(self, node: Node, said: Mapping[str, Any]) -> Notice | None:
        """Take what a node has said of itself; None where that is known already."""
        found = Notice(
            id=f"{node.id} {node.life} {said['id']}",
            node=node.id,
            incarnation=node.incarnation,
            life=node.life,
            kind=str(said["kind"]),
            source=str(said["source"]),
            at=time.time(),
            left_s=said["left_s"],
        )
        before = self._known.get(node.id)
        if before is not None and before.id == found.id:
            return None
        self._known[node.id] = found
        self._table.set_fact(FACT, {node_id: asdict(each) for node_id, each in self._known.items()})
        return found

    def of(self, nodes: Iterable[Node]) -> list[Notice]:
        """Those of nodes that are still the same."""
        known = ((node, self._known.get(node.id)) for node in nodes)
        return [notice for node, notice in known if notice is not None and notice.life == node.life]

    def going(self, nodes: Iterable[Node]) -> list[str]:
        """Ids of those to which no new job is to come."""
        return [notice.node for notice in self.of(nodes) if notice.keeps_jobs_away]

    def loss(self, node_id: str, incarnation: str) -> str:
        """Why a machine was lost, as far as it was announced; "" where it was not."""
        notice = self._known.get(node_id)
        announced = notice is not None and notice.incarnation == incarnation and notice.explains_loss
        return notice.loss if notice is not None and announced else ""

    def gone(self, node_ids: Sequence[str], incarnations: Mapping[str, str]) -> str:
        """Why these machines, of those `incarnations`, are not there any more, as far as that is known."""
        losses = (self.loss(node_id, incarnations.get(node_id, "")) for node_id in node_ids)
        return next(filter(None, losses), "it is gone, or was made anew")

    def losses(self, lost: Sequence[Node]) -> tuple[Node, str] | None:
        """The first of the lost nodes whose loss was announced, and why a job failed that had a rank there: whoever
        failed first, it had lost a peer. None where none was."""
        found = ((node, self.loss(node.id, node.incarnation)) for node in lost)
        return next(((node, f"lost node {node.id}: {loss}") for node, loss in found if loss), None)


class Listener(Protocol):
    """A rank."""

    def notice(self, order: Callable[[], dict[str, Any]]) -> None:
        """Let it know."""


class Audience:
    """The ranks of one job, which all hear of each notice of its `nodes`; `say` writes into the job's log."""

    def __init__(self, notices: Notices, nodes: Sequence[Node], say: Callable[[str], None]) -> None:
        self._notices = notices
        self._nodes = nodes
        self._say = say
        self._ranks: Sequence[Listener] = ()

    def is_now(self, ranks: Sequence[Listener], nodes: Sequence[Node] | None = None) -> None:
        """These ranks hear from now on, and what was said before; the job's nodes are others by now, if any are
        given."""
        self._ranks = ranks
        self._nodes = self._nodes if nodes is None else nodes
        for notice in self._notices.of(self._nodes):
            self._tell(notice)

    def hear(self, notice: Notice) -> None:
        """Say a new notice to all, if it is of a node of theirs."""
        if notice.node in [node.id for node in self._nodes]:
            self._say(str(notice))
            self._tell(notice)

    def _tell(self, notice: Notice) -> None:
        for rank in self._ranks:
            rank.notice(notice.order)
