"""What is known of nodes that are about to be taken away: kept in the table, for a keeper after this one and for what
is said of jobs that end of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import asdict, frozen

from skyrig.cluster.description import Node
from skyrig.launch.job import Cause
from skyrig.launch.keeper.table import JobTable

FACT = "notices"

LEASE = "lease"
"""The kind of a notice that no controller watches over the cluster any more."""

_WHAT = {
    "preemption": ("preemption of {}", "it was preempted"),
    "maintenance": ("maintenance that ends {}", "it went for maintenance"),
    "ttl": ("the time to live of {} is over", "its time to live was over"),
    LEASE: ("the end of {}, which no controller watches over,", "no controller watched over it any more"),
    "risk": ("preemption of {} is likely", "it was probably preempted"),
}
"""What each kind of notice announces, and what is said of a node that is lost after it."""

_TAKEN = ("preemption", "maintenance", "risk")
"""Kinds of what a cloud does to a machine."""

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
    def cause(self) -> Cause:
        """What a loss to this is called: its cloud has taken the machine, or the cluster came to its own end."""
        return Cause.PREEMPTION if self.kind in _TAKEN else Cause.NODE

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

    def withdraw(self, kind: str) -> None:
        """Forget the notices of a kind: what they announced does not come."""
        self._known = {node: each for node, each in self._known.items() if each.kind != kind}
        self._table.set_fact(FACT, {node_id: asdict(each) for node_id, each in self._known.items()})

    def of(self, nodes: Iterable[Node]) -> list[Notice]:
        """Those of nodes that are still the same."""
        known = ((node, self._known.get(node.id)) for node in nodes)
        return [notice for node, notice in known if notice is not None and notice.life == node.life]

    def going(self, nodes: Iterable[Node]) -> list[str]:
        """Ids of those to which no new job is to come."""
        return [notice.node for notice in self.of(nodes) if notice.keeps_jobs_away]

    def leaving(self, nodes: Iterable[Node]) -> dict[str, float]:
        """The moment (unix time, 0.0: not told) at which those of `nodes` go that their cloud takes away."""
        going = [each for each in self.of(nodes) if each.keeps_jobs_away and each.cause is Cause.PREEMPTION]
        return {each.node: 0.0 if each.left_s is None else each.at + each.left_s for each in going}

    def loss(self, node_id: str, incarnation: str) -> str:
        """Why a machine was lost, as far as it was announced; "" where it was not."""
        notice = self._explaining(node_id, incarnation)
        return notice.loss if notice is not None else ""

    def gone(self, node_ids: Sequence[str], incarnations: Mapping[str, str]) -> str:
        """Why these machines, of those `incarnations`, are not there any more, as far as that is known."""
        losses = (self.loss(node_id, incarnations.get(node_id, "")) for node_id in node_ids)
        return next(filter(None, losses), "it is gone, or was made anew")

    def losses(self, lost: Sequence[Node]) -> tuple[Node, str, Cause] | None:
        """The first of the lost nodes whose loss was announced, why a job failed that had a rank there, and its cause:
        whoever failed first, it had lost a peer. None where none was."""
        found = ((node, self._explaining(node.id, node.incarnation)) for node in lost)
        told = ((node, notice) for node, notice in found if notice is not None)
        return next(((node, f"lost node {node.id}: {notice.loss}", notice.cause) for node, notice in told), None)

    def shut_down(self, nodes: Sequence[Node]) -> tuple[Node, str, Cause] | None:
        """The same of one of `nodes` on which a signal ended a rank: whether its machine is going down just now."""
        return self.losses([node for node in nodes if node.id in self.leaving([node])])

    def cause(self, node_ids: Sequence[str], incarnations: Mapping[str, str]) -> Cause:
        """What the loss of machines of these `incarnations` is called."""
        told = (self._explaining(node_id, incarnations.get(node_id, "")) for node_id in node_ids)
        return next((notice.cause for notice in told if notice is not None), Cause.NODE)

    def _explaining(self, node_id: str, incarnation: str) -> Notice | None:
        """The notice that explains the loss of a machine now, if one does."""
        notice = self._known.get(node_id)
        known = notice is not None and notice.incarnation == incarnation and notice.explains_loss
        return notice if known else None


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
