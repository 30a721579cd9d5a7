"""The client's side of a cluster: reach the keeper on the head, hand it jobs, follow them.

One SSH connection to the head carries all; the host key is the pinned one. Everything a client does may be broken off
at any point: what was submitted goes on, what was not never began.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import asyncssh
from attrs import evolve

from skyrig import places
from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput, NodeLost, SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.blobs import frames
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.content import Manifest
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import from_description
from skyrig.launch import nodeside, records
from skyrig.launch.job import CONVERTER, JobRecord, JobRequest, JobStatus
from skyrig.launch.lines import Shown, marks_failure, parse
from skyrig.launch.protocol import Message, ask, check_version, receive, send

Notify = Callable[[str], None]
"""Takes one line for the user that is not the job's output."""

_LAST_LINES = 10
"""Lines of the failed rank that are shown again at the end."""

_HEAD_PATIENCE_S = 10.0
"""How long a follower tries to reach a head that went away before it calls it lost; a lease's length."""

_BOOT_PATIENCE_S = 60.0
"""How long a submission waits for a head that may still boot."""

_LOOK_PATIENCE_S = 4.0
"""How long a look at a cluster's jobs waits for its head; the stack's records answer else."""

_ENSURE = 'exec "$HOME/.skyrig/runtime/bin/python" -m skyrig.launch.keeper ensure'


class KeeperLink:
    """An open line to a cluster's keeper. Made by `keeper`."""

    def __init__(
        self, desc: ClusterDescription, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]
    ) -> None:
        self.desc = desc
        self.reader = reader
        self.writer = writer

    async def ask(self, message: Message, payload: bytes | None = None) -> Message:
        """One request and its answer."""
        return (await ask(self.reader, self.writer, message, payload))[0]

    async def introduce(self, *, prepare: bool) -> None:
        """Agree on the protocol; with `prepare` see that the keeper knows this cluster and can reach all its nodes."""
        document = self.desc.public().to_json()
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        hello = await self.ask({"op": "hello", "digest": digest})
        check_version(*hello["protocol"])
        if hello["known"] or not prepare:
            return
        answer = await self.ask({"op": "describe", "cluster": document})
        await _authorize(self.desc, answer["unprepared"], hello["public_key"])
        failed = (await self.ask({"op": "prepare", "digest": digest}))["failed"]
        for node_id, reason in failed.items():
            raise NodeLost(f"the head cannot reach {node_id}: {reason}", node_id=node_id, hint="run `invoke up`")

    async def sync(self, root: Path, *, named_in: Sequence[str], notify: Notify) -> str:
        """Bring the files of the folder `root` to the head; returns the digest by which a job names them. Only what the
        head does not hold yet is sent."""
        from skyrig.fleet.manifest import build
        from skyrig.fleet.workdir import select

        selection = select(root, named_in=named_in)
        for note in selection.notes:
            notify(note)
        manifest = build(root, selection, places.made(places.stack(self.desc.name)) / "hashes")
        missing = (await self.ask({"op": "need"}, manifest.to_bytes()))["missing"]
        if missing:
            await self._upload(root, manifest, missing, notify)
        return manifest.digest

    async def _upload(self, root: Path, manifest: Manifest, missing: list[str], notify: Notify) -> None:
        sizes = manifest.blobs()
        notify(f"syncing {len(missing)} of {len(sizes)} files, {_size(sum(sizes[sha] for sha in missing))}")
        await send(self.writer, {"op": "blobs", "shas": missing})
        for block in frames(root, manifest, missing):
            self.writer.write(block)
            await self.writer.drain()
        answered = await receive(self.reader)
        if answered is None or "error" in answered[0]:
            reason = answered[0]["error"] if answered else "the connection closed"
            raise SkyrigError(f"the head did not take the files: {reason}", hint="run the same command again")


@asynccontextmanager
async def keeper(
    desc: ClusterDescription, *, patience_s: float = _LOOK_PATIENCE_S, prepare: bool = False
) -> AsyncIterator[KeeperLink]:
    """A line to the keeper of the cluster, started where none runs. NodeLost if the head does not answer within
    `patience_s` seconds. `prepare` is for who wants to run something: a look at jobs does without the other nodes."""
    target, key = from_description(desc, desc.head.id), Credentials(desc.ssh.private_key)
    async with await connect(target, key, deadline_s=patience_s) as connection:
        remembered = places.stack(desc.name) / "keeper.json"
        reader, writer = await _open(connection, remembered, desc)
        link = KeeperLink(desc, reader, writer)
        await link.introduce(prepare=prepare)
        try:
            yield link
        finally:
            writer.close()


async def submit_and_follow(
    desc: ClusterDescription,
    request: JobRequest,
    *,
    workdir: Path | None,
    detach: bool,
    out: BinaryIO,
    notify: Notify,
) -> int:
    """Sync `workdir`, submit `request`, and unless `detach` follow the job to its end. Returns the exit code for the
    caller's process: the job's, or 0 when detached (by `detach` or Ctrl-C)."""
    async with keeper(desc, patience_s=_BOOT_PATIENCE_S, prepare=True) as link:
        if workdir is not None:
            texts = [*request.run.files.values(), *(request.setup.files.values() if request.setup else ())]
            request = evolve(request, manifest=await link.sync(workdir, named_in=texts, notify=notify))
        request = evolve(request, first_id=records.next_id(records.folder(desc.records)))
        answer = await link.ask({"op": "submit", "request": CONVERTER.unstructure(request)})
        record = CONVERTER.structure(answer["record"], JobRecord)
        notify(f"job {record.id} ({record.name}) submitted to {desc.name}")
        if detach:
            return 0
        view = _View(record, out, notify)
        lost = await _interruptible(view.follow(link), view)
    return await _finish(desc, view, lost)


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
    async with keeper(desc) as link:
        view = _View(None, out, notify, job_id=job_id, rank=rank, tail=tail)
        lost = await _interruptible(view.follow(link, keep_on=follow), view)
    return await _finish(desc, view, lost)


async def queue(desc: ClusterDescription) -> list[JobRecord]:
    """All jobs of the cluster, with those that its stack kept from earlier heads."""
    async with keeper(desc) as link:
        answer = await link.ask({"op": "queue"})
    live = CONVERTER.structure(answer["records"], list[JobRecord])
    base = records.folder(desc.records)
    kept = {record.id: record for record in records.queue(base)} if base is not None else {}
    return [record for _, record in sorted({**kept, **{record.id: record for record in live}}.items())]


async def cancel(desc: ClusterDescription, job_ids: list[int] | None) -> list[int]:
    """End jobs (None: all); returns the ids of those that had not ended before. BadInput for an unknown id."""
    async with keeper(desc) as link:
        known = CONVERTER.structure((await link.ask({"op": "queue"}))["records"], list[JobRecord])
        for job_id in job_ids or ():
            if job_id not in {record.id for record in known}:
                raise BadInput(f"there is no job {job_id} on {desc.name}", hint="invoke queue lists them")
        cancelled: list[int] = (await link.ask({"op": "cancel", "ids": job_ids}))["cancelled"]
        return cancelled


async def settle(desc: ClusterDescription) -> None:
    """Have the keeper bring all records and logs to the stack's own folder: before a stop or down."""
    async with keeper(desc) as link:
        await link.ask({"op": "settle"})


class _View:
    """What a follower has seen of one job, and how far; survives a broken connection."""

    def __init__(
        self,
        record: JobRecord | None,
        out: BinaryIO,
        notify: Notify,
        *,
        job_id: int | None = None,
        rank: int | None = None,
        tail: int | None = None,
    ) -> None:
        self.record = record
        self.detached = False
        self._job_id = record.id if record else job_id
        self._out = out
        self._notify = notify
        self._rank = rank
        self._tail = tail
        self._offset = 0
        self._shown: Shown | None = None
        self._last: dict[int, deque[bytes]] = {}
        self._settled: set[int] = set()

    async def follow(self, link: KeeperLink, *, keep_on: bool = True) -> bool:
        """Write what comes until the job's end (False) or until the connection broke (True)."""
        asked = {"op": "follow", "id": self._job_id, "follow": keep_on, "offset": self._offset, "rank": self._rank}
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
        elif message["event"] == "log" and self._shown is not None:
            self._offset = message["offset"]
            for line in payload.split(b"\n")[:-1]:  # whole lines come; bytes.splitlines would cut at \r too
                self._remember(*parse(line)[:2])
                self._out.write(self._shown.show(line))
            self._out.flush()

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
        self._shown = Shown(record, record.cluster, rank=self._rank)
        if record.status is JobStatus.PENDING and not record.nodes:
            self._notify(f"job {record.id} waits for its turn")
        elif record.status in (JobStatus.SETTING_UP, JobStatus.RUNNING) and record.status is not before:
            what = "setup runs on" if record.status is JobStatus.SETTING_UP else "running on"
            where = record.cluster if record.status is JobStatus.SETTING_UP else record.nodes
            self._notify(f"job {record.id}: {what} {', '.join(where)}")


async def _interruptible(following: Coroutine[None, None, bool], view: _View) -> bool:
    """Await `following`; Ctrl-C ends it and marks the view as detached. Returns whether the connection broke."""
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
    while lost and not view.detached:
        try:
            async with keeper(desc, patience_s=_HEAD_PATIENCE_S) as link:
                lost = await _interruptible(view.follow(link), view)
        except NodeLost as error:
            reason = f"lost node {desc.head.id} (the head): {error.message}"
            _record_loss(desc, view, reason)
            job = f"job {view.record.id} FAILED: " if view.record else ""
            raise NodeLost(
                job + reason, node_id=desc.head.id, hint=f"invoke up -c {desc.name} brings it back"
            ) from error
    if view.detached:
        job = f" -j {view.record.id}" if view.record else ""
        view._notify(f"detached; the job goes on: invoke logs -c {desc.name}{job}")
        return 0
    return view.ended()


def _record_loss(desc: ClusterDescription, view: _View, reason: str) -> None:
    """The head is gone and its keeper with it: write into the kept record what the keeper no longer can."""
    base = records.folder(desc.records)
    if base is None or view.record is None:
        return
    with suppress(OSError):
        records.end_lost(base, view.record.id, reason)


async def _authorize(desc: ClusterDescription, node_ids: Sequence[str], public_key: str) -> None:
    """Let the keeper's key into these nodes, all at once, with the client's own key."""
    command, stdin = nodeside.program("prepare", {"authorize": [public_key]})
    targets = [from_description(desc, node_id) for node_id in node_ids]
    async with Pool(Credentials(desc.ssh.private_key)) as pool:
        done = await fanout.run_all(pool, targets, command, stdin=stdin, timeout_s=60)
    for node_id, result in done.items():
        if result.code != 0:
            reason = result.stderr.decode(errors="replace").strip()[-200:]
            raise NodeLost(f"{node_id} could not be prepared: {reason}", node_id=node_id, hint="run `invoke up`")


async def _open(
    connection: asyncssh.SSHClientConnection, remembered: Path, desc: ClusterDescription
) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
    """A channel to the keeper's socket: where it was last time, else where `ensure` says it is."""
    incarnation = desc.head.incarnation
    try:
        known = json.loads(remembered.read_text())
        if known["incarnation"] == incarnation:
            return await connection.open_unix_connection(known["socket"])
    except (OSError, ValueError, KeyError, asyncssh.ChannelOpenError):
        pass  # never seen, of another head, or its keeper is not running: `ensure` below settles it
    started = await connection.run(_ENSURE, encoding=None)
    output = started.stdout if isinstance(started.stdout, bytes) else b""
    if started.exit_status != 0 or not output.strip():
        said = started.stderr if isinstance(started.stderr, bytes) else b""
        reason = said.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise SkyrigError(f"the keeper did not start on {desc.head.id}: {reason[0]}", hint="see ~/.skyrig/keeper.log")
    socket = json.loads(output.splitlines()[-1])["socket"]
    places.made(remembered.parent)
    remembered.write_text(json.dumps({"incarnation": incarnation, "socket": socket}))
    return await connection.open_unix_connection(socket)


def _size(count: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count //= 1024
    return f"{count} GiB"
