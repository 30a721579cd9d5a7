"""A gang of ranks: all run, or none. Finds who failed first by its own doing, and ends the others."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.launch import lines
from skyrig.launch.keeper.logbook import Logbook
from skyrig.launch.keeper.rank import GRACE_S, Rank, RankEnd

PEER_LOSS = re.compile(
    rb"connection closed by peer|connection reset by peer|broken pipe|remote process exited|connection refused"
    rb"|socket timeout|disterror|distnetworkerror|timed out waiting|heartbeat|rendezvousconnection",
    re.IGNORECASE,
)
"""What a rank's last lines hold when it failed because another one was gone (gloo, NCCL, torch's TCPStore)."""

_STOOD_STILL = re.compile(rb"watchdog caught collective operation timeout|monitoredbarrier", re.IGNORECASE)
"""The same when it gave up waiting for others that are there but do not come: the watchdog of torch's ProcessGroupNCCL
("[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(...) ran for 600029 milliseconds before timing out"),
and of its monitored_barrier ("Rank 1 failed to pass monitoredBarrier in 30000 ms")."""

_IN_FLIGHT_S = 0.3
"""How long to wait for failure reports that are already under way when the first one arrives."""

_PEER_PATIENCE_S = 3.0
"""How long to wait for the true culprit when the first failure reads like the loss of a peer: longer than it takes a
rank to count as silent."""

_LOOK_S = 0.2
"""How often it is looked whether silent ranks speak again."""


@frozen
class GangEnd:
    """How a gang ended: a code per rank (-1: lost), the `culprit` rank (-1: all succeeded, or cancelled), and whether
    it failed because it had `hung`, waiting for the others."""

    ends: tuple[RankEnd, ...]
    culprit: int
    cancelled: bool = False
    hung: bool = False

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """The exit code of each rank."""
        return tuple(end.code for end in self.ends)


@frozen
class Verdict:
    """Which rank made a gang fail, and how it ended: settled before the others are told to end. `hung` is GangEnd's."""

    culprit: int
    end: RankEnd
    hung: bool = False


async def run(
    ranks: Sequence[Rank],
    specs: Sequence[Mapping[str, Any] | None],
    cancel: asyncio.Event,
    logbook: Logbook,
    *,
    patience_s: float = 0.0,
    settle: Callable[[Verdict], None] = lambda verdict: None,
    ended: Callable[[int], None] = lambda rank: None,
) -> GangEnd:
    """Run all ranks to their end. The first failure, or `cancel`, ends the others. `patience_s` is Rank.run's; `settle`
    is told the verdict when there is one, so that a keeper that dies while the others end does not lose it; `ended` is
    told each rank that has ended."""
    following = [asyncio.create_task(rank.run(spec, patience_s)) for rank, spec in zip(ranks, specs, strict=True)]
    for number, task in enumerate(following):
        task.add_done_callback(functools.partial(_say_ended, ended, number))
    cancelling = asyncio.create_task(cancel.wait())
    try:
        await _until_failure(following, cancelling)
        culprit, hung = -1, False
        if not cancel.is_set() and any(_failed(task) for task in following):
            culprit = await _culprit(ranks, following, logbook)
            hung = _says(logbook, culprit, _STOOD_STILL)
            if following[culprit].done():
                settle(Verdict(culprit, following[culprit].result(), hung))
        await _end_all(ranks, following)
    finally:
        cancelling.cancel()
    return GangEnd(tuple(task.result() for task in following), culprit, cancel.is_set(), hung)


async def end(ranks: Sequence[Rank], verdict: Verdict) -> GangEnd:
    """End the ranks of a gang whose verdict an earlier keeper settled, and which it did not see to its end."""
    following = [asyncio.create_task(rank.run(None)) for rank in ranks]
    await _end_all(ranks, following)
    ends = [task.result() for task in following]
    ends[verdict.culprit] = verdict.end
    return GangEnd(tuple(ends), verdict.culprit, hung=verdict.hung)


def _say_ended(ended: Callable[[int], None], number: int, task: asyncio.Task[RankEnd]) -> None:
    ended(number)


def _failed(task: asyncio.Task[RankEnd]) -> bool:
    return task.done() and task.result().code != 0


async def _until_failure(following: Sequence[asyncio.Task[RankEnd]], cancelling: asyncio.Task[Any]) -> None:
    waiting: set[asyncio.Task[Any]] = {*following, cancelling}
    while len(waiting) > 1 and not cancelling.done() and not any(_failed(task) for task in following):
        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)


async def _culprit(ranks: Sequence[Rank], following: Sequence[asyncio.Task[RankEnd]], logbook: Logbook) -> int:
    """The rank that failed first by its own doing: the earliest failure, unless it only lost its peer."""
    await asyncio.wait(following, timeout=_IN_FLIGHT_S)
    if not _failures(ranks, following):
        return await _earlier_culprit(ranks, following)
    first = min(_failures(ranks, following), key=lambda found: found[0])[1]
    if len(ranks) == 1:
        return first
    bereft = _says(logbook, first, PEER_LOSS)
    if bereft:
        others = [task for rank, task in enumerate(following) if rank != first]
        await asyncio.wait(others, timeout=_PEER_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    lost = await _lost(ranks, following)
    if lost or not bereft:
        return min(lost, default=(0.0, first))[1]
    for _, rank in sorted(_failures(ranks, following)):
        if not _says(logbook, rank, PEER_LOSS):
            return rank
    return first


async def _lost(ranks: Sequence[Rank], following: Sequence[asyncio.Task[RankEnd]]) -> list[tuple[float, int]]:
    """(moment of the last word, rank) of those that are lost, once that is settled of all that are silent now: a rank
    that dies of its peer's loss is sooner than the lease by which that is known."""
    while silent := [task for rank, task in zip(ranks, following, strict=True) if rank.silent_s and not task.done()]:
        await asyncio.wait(silent, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
    ends = [(task.result(), rank) for rank, task in enumerate(following) if task.done()]
    return [(end.heard, rank) for end, rank in ends if end.lost]


async def _earlier_culprit(ranks: Sequence[Rank], following: Sequence[asyncio.Task[RankEnd]]) -> int:
    """The culprit where all that is known is that ranks were told to end: by a keeper that died since, so who made it
    do that shows when the others have ended, or are lost. Where no other has failed, their node told them."""
    await _end_all(ranks, following)
    found = _failures(ranks, following)
    told = [(task.result().moment, rank) for rank, task in enumerate(following) if _failed(task)]
    return min(found or told)[1]


def _failures(ranks: Sequence[Rank], following: Sequence[asyncio.Task[RankEnd]]) -> list[tuple[float, int]]:
    """(moment, rank) of every failure by a rank's own doing that is known so far."""
    found = []
    for number, (rank, task) in enumerate(zip(ranks, following, strict=True)):
        moments = [task.result().moment] if _failed(task) and not task.result().told else []
        if rank.failed_at is not None and not (task.done() and not _failed(task)):
            moments.append(rank.failed_at)
        if moments:
            found.append((min(moments), number))
    return found


async def _end_all(ranks: Sequence[Rank], following: Sequence[asyncio.Task[RankEnd]]) -> None:
    for rank, task in zip(ranks, following, strict=True):
        if not task.done():
            rank.end(GRACE_S)
    await asyncio.wait(following)


def _says(logbook: Logbook, rank: int, what: re.Pattern[bytes]) -> bool:
    """Whether a rank's last lines hold `what`."""
    logbook.flush(rank)
    return what.search(b"\n".join(lines.last(logbook.path, rank, 15))) is not None


def lost_its_peer(logbook: Logbook, rank: int) -> bool:
    """Whether a rank's last lines say that it failed because another one was gone."""
    return _says(logbook, rank, PEER_LOSS)


def stood_still(logbook: Logbook, rank: int) -> bool:
    """Whether they say that it gave up waiting for others that were there but did not come."""
    return _says(logbook, rank, _STOOD_STILL)
