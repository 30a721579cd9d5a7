"""The client's side of a cluster: reach the keeper on the head, hand it jobs, follow them.

One SSH connection to the head carries all; the host key is the pinned one. Everything a client does may be broken off
at any point: what was submitted goes on, what was not never began.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import BinaryIO

from attrs import evolve
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from skyrig.cluster.autostop import Autostop
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import TimeToLive
from skyrig.errors import BadInput, NodeLost, ProtocolMismatch
from skyrig.launch import files, keeping, records
from skyrig.launch.job import CONVERTER, JobRecord, JobRequest
from skyrig.launch.link import FIRST_PATIENCE_S, LOOK_PATIENCE_S, KeeperLink, NoRuntime, keeper, patience
from skyrig.launch.meeting import Current, meeting
from skyrig.launch.protocol import KeeperGone, receive, send
from skyrig.launch.submission import Submission
from skyrig.launch.view import View

Notify = Callable[[str], None]
"""Takes one line for the user that is not the job's output."""

_HEAD_PATIENCE_S = 10.0
"""How long a follower tries to reach a head that went away before it calls it lost; a lease's length."""


_asked_again = retry(
    retry=retry_if_exception_type(KeeperGone),
    stop=stop_after_delay(_HEAD_PATIENCE_S),
    wait=wait_fixed(0.1),
    reraise=True,
)
"""For what may be asked twice: a keeper that dies over a question is followed by another one."""


async def submit_and_follow(
    desc: ClusterDescription, what: Submission, current: Current, *, detach: bool, out: BinaryIO, notify: Notify
) -> int:
    """Submit a job with its files, and unless `detach` follow it to its end. Returns the exit code for the caller's
    process: the job's, or 0 when detached (by `detach` or Ctrl-C). `current` tells where nodes are replaced while they
    are waited for."""
    async with meeting(desc, current, notify) as link:
        desc = link.desc
        record = await submitted(link, what, notify)
        if detach:
            return 0
        view = View(desc, record, out, notify)
        lost = await interruptible(view.follow(link), view)
    code = await _finish(desc, view, lost, notify)
    if what.request.preflight is not None and keeping.is_ours(desc) and not view.detached:
        async with keeper(desc) as link:
            await keeping.fetch_fitness(link)
    return code


async def submit(desc: ClusterDescription, what: Submission, current: Current, notify: Notify) -> JobRecord:
    """Submit a job with its files, `current` as for `submit_and_follow`; the job as it was then."""
    async with meeting(desc, current, notify) as link:
        return await submitted(link, what, notify)


async def logs(
    desc: ClusterDescription,
    job_id: int | None,
    *,
    rank: int | None,
    follow: bool,
    tail: int | None,
    out: BinaryIO,
    notify: Notify,
) -> int:
    """Write a job's log (None: the newest job) to `out`, and with `follow` go on until it ends. Returns its exit code,
    0 while it has none."""
    view = View(desc, None, out, notify, job_id=job_id, rank=rank, tail=tail, keep_on=follow)
    return await followed(desc, view, notify)


@_asked_again
async def queue(desc: ClusterDescription) -> list[JobRecord]:
    """All jobs of the cluster, with those that its stack kept from earlier heads."""
    kept = {record.id: record for record in records.queue(keeping.folder(desc))}
    try:
        async with keeper(desc) as link:
            live = await _jobs(link)
            await keeping.fetch_fitness(link)
    except NoRuntime:
        live = []
    return [record for _, record in sorted({**kept, **{record.id: record for record in live}}.items())]


@_asked_again
async def cancel(desc: ClusterDescription, job_ids: list[int] | None, reason: str = "cancelled") -> list[int]:
    """End jobs (None: all); returns the ids of those that had not ended before. `reason` is what their records say.
    BadInput for an unknown id."""
    async with keeper(desc) as link:
        known = {record.id for record in await _jobs(link)}
        for job_id in job_ids or ():
            if job_id not in known:
                raise BadInput(f"there is no job {job_id} on {desc.name}", hint="`queue` lists them")
        cancelled: list[int] = (await link.ask({"op": "cancel", "ids": job_ids, "reason": reason}))["cancelled"]
        return cancelled


@_asked_again
async def autostop(desc: ClusterDescription, wanted: Autostop | None) -> None:
    """Have the cluster stop or end itself when it is idle, as `wanted`; None cancels that. BadInput where its nodes
    cannot."""
    with suppress(NoRuntime):  # a head that was never used has nothing to cancel
        async with keeper(desc, patience_s=patience(desc), prepare=wanted is not None) as link:
            keeping.note_autostop(desc, await link.autostop(wanted))


@_asked_again
async def ttl(desc: ClusterDescription, wanted: TimeToLive | None) -> None:
    """Have the cluster end when its time is over, whatever runs; None lifts that. BadInput where its nodes cannot;
    NodeLost at once where the head still boots for the first time: who submits a job tells it later."""
    wait_s = patience(desc)
    wait_s = LOOK_PATIENCE_S if wait_s == FIRST_PATIENCE_S else wait_s
    with suppress(NoRuntime):  # a head that was never used has nothing to lift
        async with keeper(desc, patience_s=wait_s, prepare=wanted is not None) as link:
            keeping.note_autostop(desc, await link.ttl(wanted))


@_asked_again
async def acquaint(desc: ClusterDescription) -> None:
    """Have the keeper know the cluster's nodes as they are now, also where no job is to be run."""
    async with keeper(desc, patience_s=patience(desc), prepare=True):
        pass


@_asked_again
async def settle(desc: ClusterDescription) -> None:
    """Have all records and logs brought to the stack's own folder: before a stop or down."""
    with suppress(NoRuntime):
        async with keeper(desc) as link:
            await link.ask({"op": "settle"})
            if keeping.is_ours(desc):
                await keeping.fetch(link, await _jobs(link))


@_asked_again
async def samples(desc: ClusterDescription, job_id: int, patience_s: float) -> None:
    """Have what a job's nodes were used for in the stack's own folder, as it is now: where the keeper brings it there,
    it is. NodeLost where the head cannot be reached within `patience_s` seconds."""
    if keeping.is_ours(desc):
        with suppress(NoRuntime):
            async with keeper(desc, patience_s=patience_s) as link:
                await keeping.fetch_samples(link, job_id)


async def flush(
    desc: ClusterDescription, deadline_s: float, notify: Notify, node_ids: Sequence[str] | None = None
) -> list[str]:
    """Wait until what jobs wrote on nodes (None: all) is in its buckets, for `deadline_s` at most, telling `notify` how
    that goes; what is not there by then, in words."""
    with suppress(NoRuntime):
        async with keeper(desc) as link:
            if not link.takes_buckets:
                return []
            await send(link.writer, {"op": "flush", "deadline_s": deadline_s, "nodes": node_ids})
            while (received := await receive(link.reader)) is not None:
                if "left" in received[0]:
                    left: list[str] = received[0]["left"]
                    return left
                if "note" in received[0]:
                    notify(received[0]["note"])
            raise KeeperGone("the keeper closed the connection", hint="run the same command again")
    return []


@_asked_again
async def drain(desc: ClusterDescription, node_ids: Sequence[str], *, force: bool) -> dict[str, list[int]]:
    """Have no more jobs placed on nodes that are about to be removed; returns which jobs keep which of them busy, and
    with `force` ends these. A cluster that was never used has none."""
    try:
        async with keeper(desc) as link:
            answer = await link.ask({"op": "drain", "nodes": list(node_ids), "force": force})
            busy: dict[str, list[int]] = answer["busy"]
            return busy
    except NoRuntime:
        return {}


@_asked_again
async def undrain(desc: ClusterDescription) -> None:
    """Let jobs in again on all nodes: what was to be removed stays."""
    with suppress(NoRuntime):
        async with keeper(desc) as link:
            await link.ask({"op": "describe", "cluster": desc.public().to_json(), "undrain": True})


async def brought(link: KeeperLink, what: Submission, notify: Notify) -> JobRequest:
    """Bring all that a job needs to the head; the request that may be submitted then."""
    request = what.request
    if request.buckets and not link.takes_buckets:
        raise ProtocolMismatch(
            "the cluster's keeper is of an older Skyrig, which attaches no buckets",
            hint="run this on the clone that made the cluster, once that is updated",
        )
    if request.preflight is not None:
        refuse_older(link)
    if what.autostop is not None:
        keeping.note_autostop(link.desc, await link.autostop(what.autostop))
        notify(f"{link.desc.name} {what.autostop}")
    if what.ttl is not None:
        keeping.note_autostop(link.desc, await link.ttl(what.ttl))
    if what.workdir is not None or what.mounts:
        request = await files.bring(link, request, workdir=what.workdir, mounts=what.mounts, notify=notify)
    return evolve(request, first_id=records.next_id(keeping.folder(link.desc)))


async def submitted(link: KeeperLink, what: Submission, notify: Notify) -> JobRecord:
    """Bring what a job needs, and submit it; the job as it was then."""
    request = await brought(link, what, notify)
    answer = await link.ask({"op": "submit", "request": CONVERTER.unstructure(request)})
    record = CONVERTER.structure(answer["record"], JobRecord)
    notify(f"job {record.id} ({record.name}) submitted to {link.desc.name}")
    return record


async def _jobs(link: KeeperLink) -> list[JobRecord]:
    """All jobs that the keeper knows."""
    return CONVERTER.structure((await link.ask({"op": "queue"}))["records"], list[JobRecord])


async def interruptible(following: Coroutine[None, None, bool], view: View) -> bool:
    """Await `following`; Ctrl-C ends it and marks the view as detached. Returns whether the connection broke. A thread
    beside the main one gets no signals, and follows to the end."""
    if threading.current_thread() is not threading.main_thread():
        return await following
    task = asyncio.create_task(following)
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        view.detached = True
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if not view.detached:
            raise
        return False
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def followed(desc: ClusterDescription, view: View, notify: Notify) -> int:
    """Follow a job to its end; its exit code, 0 where the view was detached."""
    lost = True
    with suppress(KeeperGone):
        async with keeper(desc, notify=notify) as link:
            lost = await interruptible(view.follow(link), view)
    return await _finish(desc, view, lost, notify)


def refuse_older(link: KeeperLink) -> None:
    """ProtocolMismatch where the keeper knows no preflight."""
    if not link.takes_preflights:
        raise ProtocolMismatch(
            "the cluster's keeper is of an older Skyrig, which knows no preflight",
            hint="run this on the clone that made the cluster, once that is updated",
        )


async def _finish(desc: ClusterDescription, view: View, lost: bool, notify: Notify) -> int:
    """After the first following: re-attach while the head can be reached, then say how it ended."""
    clock = asyncio.get_running_loop().time
    broke_at = clock()
    while lost and not view.detached:
        try:
            async with keeper(desc, patience_s=_HEAD_PATIENCE_S) as link:
                lost = await interruptible(view.follow(link), view)
            broke_at = clock()
        except KeeperGone:
            if clock() > broke_at + _HEAD_PATIENCE_S:
                raise
            await asyncio.sleep(0.1)
        except NodeLost as error:
            reason = f"lost node {desc.head.id} (the head): {error.message}"
            _record_loss(desc, view, reason)
            job = f"job {view.record.id} FAILED: " if view.record else ""
            raise NodeLost(job + reason, node_id=desc.head.id, hint=f"`up -c {desc.name}` brings it back") from error
    if view.detached:
        job = f" -j {view.record.id}" if view.record else ""
        notify(f"detached; the job goes on: `logs -c {desc.name}{job}` shows it")
        return 0
    return view.ended()


def _record_loss(desc: ClusterDescription, view: View, reason: str) -> None:
    """The head is gone and its keeper with it: write into the kept record what the keeper no longer can."""
    if view.record is not None:
        with suppress(OSError):
            records.end_lost(keeping.folder(desc), view.record.id, reason)
