"""How a job ends, and why: what is made of the ends of its ranks."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import evolve, frozen

from skyrig.cluster.description import Node
from skyrig.errors import NodeLost, SkyrigError
from skyrig.launch.job import LOST_NODE, Cause, JobRecord, JobStatus
from skyrig.launch.keeper.gang import GangEnd
from skyrig.preflight.asked import Asked
from skyrig.preflight.report import Report

_THEIR_FILES = re.compile(
    r"permission denied|read-only file system|not a directory|is a directory|but a folder with files on the node"
    r"|which local nodes share with this machine",
    re.IGNORECASE,
)
"""What is said of files whose place on the nodes the task has chosen badly; all else is a matter of the nodes."""


_SHUTTING = (128 + signal.SIGTERM, 128 + signal.SIGKILL)


@frozen
class End:
    """How a flow ended; the fields of JobRecord of the same names."""

    status: JobStatus
    exit_code: int
    exit_codes: tuple[int, ...] = ()
    culprit: int = -1
    reason: str = ""
    cause: Cause = Cause.NONE
    lost: tuple[str, ...] = ()


class Announced(Protocol):
    """What is known of nodes that go (skyrig.launch.keeper.notices.Notices)."""

    def losses(self, lost: Sequence[Node]) -> tuple[Node, str, Cause] | None:
        """The first of the lost nodes whose loss was announced, why a job failed that had a rank there, and its
        cause."""

    def shut_down(self, nodes: Sequence[Node]) -> tuple[Node, str, Cause] | None:
        """The same of one of `nodes` on which a signal ended a rank: whether its machine is going down just now."""


def of_loss(record: JobRecord, reason: str, cause: Cause = Cause.NODE, lost: Sequence[str] = ()) -> JobRecord:
    """The end of a job that was under way when something that it needs was lost."""
    ended = evolve(record, status=JobStatus.FAILED, ended_at=time.time(), exit_code=LOST_NODE, reason=reason)
    return evolve(ended, cause=cause, lost=tuple(lost))


def of_error(error: SkyrigError) -> End:
    """The end of a job whose flow cannot go on for `error`."""
    end = End(JobStatus.FAILED, error.exit_code, reason=str(error), cause=Cause.SURROUNDINGS)
    return evolve(end, cause=Cause.NODE, lost=(error.node_id,)) if isinstance(error, NodeLost) else end


def of_files(reason: str, exit_code: int) -> End:
    """The end of a job whose files a node could not take."""
    cause = Cause.SCRIPT if _THEIR_FILES.search(reason) else Cause.SURROUNDINGS
    return End(JobStatus.FAILED_SETUP, exit_code, reason=reason, cause=cause)


def of_unfit(problems: Mapping[str, str], nodes: Sequence[Node]) -> End | None:
    """The end of a job with ranks on `nodes` where nodes have `problems`, by their ids; None where none has."""
    if not problems:
        return None
    culprit = next((rank for rank, node in enumerate(nodes) if node.id in problems), -1)
    reason = "; ".join(f"{node_id}: {problem}" for node_id, problem in problems.items())
    return End(JobStatus.FAILED_SETUP, SkyrigError.exit_code, culprit=culprit, reason=reason, cause=Cause.SURROUNDINGS)


def of_preflight(report: Report, asked: Asked, nodes: Sequence[Node]) -> End | None:
    """The end of a job with ranks on `nodes` that a preflight makes: where it refuses what was found, or where nothing
    was to follow; None where the job goes on. A bad node is as one that is lost: another machine is to take its
    place."""
    refused = asked.mode == "refuse" and (report.bad or report.remarks)
    if not refused and not asked.alone:
        return None
    if not (report.bad or report.remarks):
        return End(JobStatus.SUCCEEDED, 0)
    reason = f"preflight: {'; '.join(report.lines())}"
    if not report.bad:
        return End(JobStatus.FAILED, SkyrigError.exit_code, reason=reason, cause=Cause.SURROUNDINGS)
    culprit = next((rank for rank, node in enumerate(nodes) if node.id in report.bad), -1)
    return End(JobStatus.FAILED, LOST_NODE, (), culprit, reason, Cause.NODE, report.bad)


def of_stillness(reason: str, codes: tuple[int, ...]) -> End:
    """The end of a job that stood still until its ranks, with these exit codes, were ended for that: it is as one that
    Skyrig could not see through."""
    return End(JobStatus.FAILED, SkyrigError.exit_code, codes, reason=reason, cause=Cause.HANG)


def of_gang(ended: GangEnd, nodes: Sequence[Node], announced: Announced, status: JobStatus, what: str) -> End:
    """The end of a job whose ranks (of its run, or of the part that `what` names) ended as they did on `nodes`, where
    one has failed. A node that is lost comes before what other ranks may have died of meanwhile, as long as it had gone
    silent by then."""
    codes = ended.exit_codes
    gone = _gone(ended)
    lost = tuple(nodes[rank].id for rank in gone)
    known = announced.losses([nodes[rank] for rank in gone])
    if known := known or announced.shut_down([nodes[rank] for rank in _signalled(ended)]):
        node, reason, cause = known
        return End(status, LOST_NODE, codes, nodes.index(node), reason, cause, lost or (node.id,))
    culprit = next((rank for rank in gone if _explains(ended, rank)), ended.culprit)
    end, node = ended.ends[culprit], nodes[culprit]
    where = f"rank {culprit} ({node.id})" if not what else f"{what} on {node.id}"
    if end.why == "refused":
        reason = f"{where} could not be started: {end.reason}"
        return End(status, SkyrigError.exit_code, codes, culprit, reason, Cause.SURROUNDINGS, lost)
    if end.why == "mount":
        return End(status, end.code, codes, culprit, f"{where}: {end.reason}", Cause.SURROUNDINGS, lost)
    if end.lost:
        return End(status, LOST_NODE, codes, culprit, f"lost node {node.id}: {end.reason}", Cause.NODE, lost)
    how = f"was ended by signal {end.code - 128}" if end.code > 128 else f"exited with code {end.code}"
    if culprit in gone:
        return End(status, end.code, codes, culprit, f"{where} {how}: its node ended it", Cause.NODE, lost)
    cause = Cause.HANG if ended.hung else Cause.SCRIPT
    return End(status, end.code, codes, culprit, f"{where} {how}", cause, lost)


def _gone(ended: GangEnd) -> list[int]:
    """Ranks whose nodes went away, and the culprit where it was its node that told it to end, as one does that shuts
    down."""
    return [rank for rank, end in enumerate(ended.ends) if end.lost or (rank == ended.culprit and end.told)]


def _signalled(ended: GangEnd) -> list[int]:
    """The culprit, where TERM or KILL ended it: on a machine that shuts down they may come to it before its
    supervisor."""
    return [ended.culprit] if ended.ends[ended.culprit].code in _SHUTTING else []


def _explains(ended: GangEnd, rank: int) -> bool:
    """Whether the loss of a rank came before the culprit's own failure."""
    return ended.ends[rank].lost and ended.ends[rank].heard < ended.ends[ended.culprit].moment
