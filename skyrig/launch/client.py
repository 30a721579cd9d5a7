"""The client's side of a cluster: reach the keeper on the head, hand it jobs, follow them.

One SSH connection to the head carries all; the host key is the pinned one. Everything a client does may be broken off
at any point: what was submitted goes on, what was not never began.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import BinaryIO

from attrs import evolve
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from skyrig.cluster.autostop import Autostop
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import TimeToLive
from skyrig.errors import BadInput, NodeLost, ProtocolMismatch
from skyrig.fleet.ssh import asyncssh
from skyrig.launch import files, keeping, records
from skyrig.launch.job import CONVERTER, JobRecord, JobRequest, JobStatus
from skyrig.launch.lines import Shown, marks_failure, parse
from skyrig.launch.link import FIRST_PATIENCE_S, LOOK_PATIENCE_S, KeeperLink, NoRuntime, keeper, patience
from skyrig.launch.meeting import Current, meeting
from skyrig.launch.prelude import Prelude
from skyrig.launch.protocol import KeeperGone, Message, receive, send
from skyrig.launch.submission import Submission

Notify = Callable[[str], None]
"""Takes one line for the user that is not the job's output."""

_LAST_LINES = 10
"""Lines of the failed rank that are shown again at the end."""

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
        record = await _submitted(link, what, notify)
        if detach:
            return 0
        view = _View(desc, record, out, notify)
        lost = await _interruptible(view.follow(link), view)
    return await _finish(desc, view, lost)


async def submit(desc: ClusterDescription, what: Submission, current: Current, notify: Notify) -> JobRecord:
    """Submit a job with its files, `current` as for `submit_and_follow`; the job as it was then."""
    async with meeting(desc, current, notify) as link:
        return await _submitted(link, what, notify)


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
    view, lost = _View(desc, None, out, notify, job_id=job_id, rank=rank, tail=tail, keep_on=follow), True
    with suppress(KeeperGone):
        async with keeper(desc, notify=notify) as link:
            lost = await _interruptible(view.follow(link), view)
    return await _finish(desc, view, lost)


@_asked_again
async def queue(desc: ClusterDescription) -> list[JobRecord]:
    """All jobs of the cluster, with those that its stack kept from earlier heads."""
    kept = {record.id: record for record in records.queue(keeping.folder(desc))}
    try:
        async with keeper(desc) as link:
            live = await _jobs(link)
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
    if what.autostop is not None:
        keeping.note_autostop(link.desc, await link.autostop(what.autostop))
        notify(f"{link.desc.name} {what.autostop}")
    if what.ttl is not None:
        keeping.note_autostop(link.desc, await link.ttl(what.ttl))
    if what.workdir is not None or what.mounts:
        request = await files.bring(link, request, workdir=what.workdir, mounts=what.mounts, notify=notify)
    return evolve(request, first_id=records.next_id(keeping.folder(link.desc)))


async def _submitted(link: KeeperLink, what: Submission, notify: Notify) -> JobRecord:
    request = await brought(link, what, notify)
    answer = await link.ask({"op": "submit", "request": CONVERTER.unstructure(request)})
    record = CONVERTER.structure(answer["record"], JobRecord)
    notify(f"job {record.id} ({record.name}) submitted to {link.desc.name}")
    return record


async def _jobs(link: KeeperLink) -> list[JobRecord]:
    """All jobs that the keeper knows."""
    return CONVERTER.structure((await link.ask({"op": "queue"}))["records"], list[JobRecord])


class _View:
    """What a follower has seen of one job, and how far; survives a broken connection."""

    def __init__(
        self,
        desc: ClusterDescription,
        record: JobRecord | None,
        out: BinaryIO,
        notify: Notify,
        *,
        job_id: int | None = None,
        rank: int | None = None,
        tail: int | None = None,
        keep_on: bool = True,
    ) -> None:
        self.record = record
        self.detached = False
        self._kept_by_us = desc if keeping.is_ours(desc) else None
        self._job_id = record.id if record else job_id
        self._out = out
        self._notify = notify
        self._prelude = Prelude(notify)
        self._rank = rank
        self._tail = tail
        self._keep_on = keep_on
        self._offset = 0
        self._shown: Shown | None = None
        self._last: dict[int, deque[bytes]] = {}
        self._settled: set[int] = set()

    async def follow(self, link: KeeperLink) -> bool:
        """Write what comes until the job's end (False) or until the connection broke (True)."""
        asked = {
            "op": "follow",
            "id": self._job_id,
            "follow": self._keep_on,
            "offset": self._offset,
            "rank": self._rank,
        }
        if self._offset == 0 and self._tail is not None:
            asked["tail"] = self._tail
        try:
            await send(link.writer, asked)
            while (received := await receive(link.reader)) is not None:
                message, payload = received
                if "error" in message:
                    raise BadInput(message["error"], hint=message.get("hint"))
                if message["event"] == "end":
                    return False
                self._take(message, payload)
        except (asyncssh.Error, OSError, EOFError):
            return True
        finally:
            self._prelude.close()
            self._end_line()
        return True

    def ended(self) -> int:
        """Say how the job ended; its exit code (0 while it has none)."""
        record = self.record
        if record is None or not record.status.ended:
            return 0
        if record.status is JobStatus.SUCCEEDED:
            self._notify(f"job {record.id} SUCCEEDED")
        else:
            self._notify(f"job {record.id} {record.status.value}: {record.reason}")
        if record.culprit >= 0 and record.num_nodes > 1 and self._last.get(record.culprit):
            self._notify(f"the last lines of rank {record.culprit}:")
            for line in self._last[record.culprit]:
                self._notify("    " + line.decode(errors="replace"))
        return record.exit_code if record.exit_code is not None else 5

    def _take(self, message: Message, payload: bytes) -> None:
        if message["event"] == "state":
            self._advance(CONVERTER.structure(message["record"], JobRecord))
        elif message["event"] == "now":
            self._prelude.now(message.get("setup", ()), message.get("files"))
        elif message["event"] == "log" and self._shown is not None:
            self._offset = message["offset"]
            self._keep(payload)
            for line in payload.split(b"\n")[:-1]:  # whole lines come; bytes.splitlines would cut at \r too
                rank, text, _ = parse(line)
                self._remember(rank, text)
                self._prelude.line(rank, text)
                self._out.write(self._shown.show(line))
            self._out.flush()

    def _keep(self, payload: bytes = b"") -> None:
        """Keep what was seen, where it is ours to keep. A disk that is full here is no reason to stop following."""
        if self._kept_by_us is not None and self.record is not None:
            with suppress(OSError):
                keeping.add(self._kept_by_us, self.record, self._offset, payload)

    def _remember(self, rank: int, text: bytes) -> None:
        """Keep the last lines of each rank; those before a process of it failed, not what its launcher says then."""
        if marks_failure(text):
            self._settled.add(rank)
        if rank not in self._settled:
            self._last.setdefault(rank, deque(maxlen=_LAST_LINES)).append(text)

    def _end_line(self) -> None:
        if self._shown is not None:
            self._out.write(self._shown.finish())
            self._out.flush()

    def _advance(self, record: JobRecord) -> None:
        before = self.record.status if self.record else None
        self._end_line()
        self.record, self._job_id = record, record.id
        self._keep()
        self._shown = Shown(record, record.cluster, rank=self._rank)
        self._prelude.advance(record)
        if record.status is JobStatus.PENDING and not record.nodes:
            self._notify(f"job {record.id} waits for its turn")
        elif record.status in (JobStatus.SETTING_UP, JobStatus.RUNNING) and record.status is not before:
            what = "setup runs on" if record.status is JobStatus.SETTING_UP else "running on"
            where = record.cluster if record.status is JobStatus.SETTING_UP else record.nodes
            self._notify(f"job {record.id}: {what} {', '.join(where)}")


async def _interruptible(following: Coroutine[None, None, bool], view: _View) -> bool:
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


async def _finish(desc: ClusterDescription, view: _View, lost: bool) -> int:
    """After the first following: re-attach while the head can be reached, then say how it ended."""
    clock = asyncio.get_running_loop().time
    broke_at = clock()
    while lost and not view.detached:
        try:
            async with keeper(desc, patience_s=_HEAD_PATIENCE_S) as link:
                lost = await _interruptible(view.follow(link), view)
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
        view._notify(f"detached; the job goes on: `logs -c {desc.name}{job}` shows it")
        return 0
    return view.ended()


def _record_loss(desc: ClusterDescription, view: _View, reason: str) -> None:
    """The head is gone and its keeper with it: write into the kept record what the keeper no longer can."""
    if view.record is not None:
        with suppress(OSError):
            records.end_lost(keeping.folder(desc), view.record.id, reason)
