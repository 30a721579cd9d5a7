"""The client's side of a cluster that has Slurm: the same functions as skyrig.launch.client, over its login node.

One SSH connection carries all. Slurm owns the queue; what belongs to a job lies in its folder on the shared file system
(skyrig.schedulers.slurm.login), so a client may be gone at any time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from contextlib import suppress

from attrs import frozen

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput, NodeLost, NotYet, SkyrigError
from skyrig.fleet.pool import Pool
from skyrig.fleet.ssh import asyncssh
from skyrig.launch import keeping, records
from skyrig.launch.client import Notify, interruptible
from skyrig.launch.job import CONVERTER, JobRecord
from skyrig.launch.meeting import Current
from skyrig.launch.protocol import LINE_LIMIT, Message, encode, receive
from skyrig.launch.submission import Submission
from skyrig.launch.view import View
from skyrig.schedulers.queue import QueueClient
from skyrig.schedulers.slurm import door, files, look, statuses
from skyrig.schedulers.slurm.options import partition_of, refuse_misfit
from skyrig.schedulers.slurm.refusals import no_autostop

_HEAD_PATIENCE_S = 30.0
"""How long a follower tries to reach a login node that went away."""


@frozen
class SlurmClient(QueueClient):
    """What can be asked of the jobs of a Slurm cluster."""

    async def submit(self, desc: ClusterDescription, what: Submission, current: Current, notify: Notify) -> JobRecord:
        """Submit a job with its files; of two with one key only the first is taken."""
        request, asked = what.request, what.batch
        refuse(what)
        way = door.of(desc)
        async with door.opened(way) as pool:
            there = desc.partitions or look.partitions((await door.ask(pool, way.target, "look"))["rows"])
            partition = partition_of(there, asked.partition or (desc.zone if desc.partitions else ""))
            refuse_misfit(partition, asked, request.num_nodes, request.accelerators)
            folder = await files.bring(pool, way.target, desc.name, what, notify)
            now = time.time()
            uid = _uid(request.key)
            facts = await door.ask(
                pool,
                way.target,
                "submit",
                base=files.base(desc.name),
                uid=uid,
                job=files.job(request, folder, now),
                secret=files.secret(desc, request, _task_id(desc, uid, now)),
                setup_parts=files.setup_parts(request, folder),
                files=files.texts(request, asked, partition),
            )
        record = statuses.record(facts)
        notify(f"job {record.id} ({record.name}) submitted to Slurm on {desc.region or desc.name}")
        return record

    async def queue(self, desc: ClusterDescription) -> list[JobRecord]:
        """All jobs that went through this cluster's stack, by Slurm's numbers."""
        kept = {record.id: record for record in records.queue(keeping.folder(desc))}
        live = {record.id: record for record in await _jobs(desc)}
        return [record for _, record in sorted({**kept, **live}.items())]

    async def cancel(self, desc: ClusterDescription, job_ids: list[int] | None, reason: str = "cancelled") -> list[int]:
        """End jobs (None: all); those that had not ended. BadInput for an unknown id."""
        known = {record.id for record in await _jobs(desc)}
        for job_id in job_ids or ():
            if job_id not in known:
                raise BadInput(f"there is no job {job_id} on {desc.name}", hint="`queue` lists them")
        way = door.of(desc)
        async with door.opened(way) as pool:
            base = files.base(desc.name)
            ended: list[int] = await door.ask(pool, way.target, "cancel", base=base, ids=job_ids, reason=reason)
            return ended

    async def settle(self, desc: ClusterDescription) -> None:
        """Bring all records and logs home: the folder that they are in goes with the stack."""
        for record in await _jobs(desc):
            with suppress(SkyrigError):
                await _fetched(desc, record)

    async def show(self, desc: ClusterDescription, view: View) -> None:
        """Follow the view's job through breaks of the connection."""
        await _followed(desc, view)

    def no_autostop(self, name: str) -> BadInput:
        """Its machines are not ours to stop."""
        return no_autostop(name)

    def no_ttl(self, name: str) -> BadInput:
        """Likewise."""
        return BadInput(f"{name} is a Slurm cluster: it has no time to live", hint="a job has: --time of sbatch")


CLIENT = SlurmClient()


def refuse(what: Submission) -> None:
    """NotYet or BadInput for what a job cannot have under Slurm."""
    request = what.request
    if what.autostop is not None:
        raise no_autostop(request.name)
    if request.buckets:
        raise NotYet(
            "buckets are not attached on Slurm clusters yet", hint="let the task copy from them and to them by itself"
        )
    if request.on:
        raise BadInput("Slurm places its jobs by itself", hint="nodes can be named in config.slurm.sbatch_options")
    if request.min_nodes:
        raise NotYet("a job under Slurm needs all of its nodes", hint="leave min_nodes away: Slurm begins it anew")


async def _jobs(desc: ClusterDescription) -> list[JobRecord]:
    way = door.of(desc)
    async with door.opened(way) as pool:
        return [
            statuses.record(facts) for facts in await door.ask(pool, way.target, "jobs", base=files.base(desc.name))
        ]


def _uid(key: str) -> str:
    """The name of a job's folder: the same for the same key, which is how nobody submits it twice."""
    return f"k{hashlib.sha256(key.encode()).hexdigest()[:24]}" if key else f"j{secrets.token_hex(12)}"


def _task_id(desc: ClusterDescription, uid: str, now: float) -> str:
    """SkyPilot's form, with the folder's name where it has the job's number: Slurm gives that only later."""
    moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(now))
    return f"sky-{moment}-{int(now % 1 * 1e6):06d}_{desc.name}_{uid[:8]}"


async def _followed(desc: ClusterDescription, view: View) -> None:
    clock = asyncio.get_running_loop().time
    reached_at, lost = clock(), True
    while lost and not view.detached:
        try:
            way = door.of(desc)
            async with door.opened(way) as pool:
                line = _Line(pool, way)
                lost = await interruptible(view.follow(line), view)
                if line.moved:
                    reached_at = clock()
        except NodeLost:
            if clock() > reached_at + _HEAD_PATIENCE_S:
                raise
        if lost and not view.detached:
            if clock() > reached_at + _HEAD_PATIENCE_S:
                raise NodeLost(f"the login node of {desc.name} cannot be followed", node_id=desc.head.id)
            await asyncio.sleep(0.5)


async def _fetched(desc: ClusterDescription, record: JobRecord) -> None:
    """Keep a job's record, and what is missing here of its log."""
    log = keeping.folder(desc) / str(record.id) / "job.log"
    offset = log.stat().st_size if log.exists() else 0
    way = door.of(desc)
    async with door.opened(way) as pool:
        line = _Line(pool, way)
        asked: Message = {"op": "follow", "id": record.id, "follow": False, "offset": offset, "rank": None}
        line.writer.write(encode(asked))
        await line.writer.drain()
        while (received := await receive(line.reader)) is not None and received[0].get("event") != "end":
            if received[0].get("event") == "log":
                keeping.add(desc, record, received[0]["offset"], received[1])
    keeping.add(desc, record)


class _Line:
    """What a follower speaks with, as it does with a keeper: what it asks starts our program on the login node, whose
    words come back as a keeper's."""

    def __init__(self, pool: Pool, way: door.Way) -> None:
        self.reader = asyncio.StreamReader(limit=LINE_LIMIT)
        self.writer = _Asked(self)
        self.moved = False
        self._pool, self._way = pool, way
        self._telling: asyncio.Task[None] | None = None

    def ask(self, message: Message) -> None:
        """Begin to tell of a job."""
        self._telling = asyncio.create_task(self._tell(message))

    async def _tell(self, asked: Message) -> None:
        given = {key: asked.get(key) for key in ("id", "follow", "offset", "rank", "tail")}
        command, stdin = door.command_of("follow", base=files.base(self._way.cluster), **given)
        try:
            async with self._pool.session(self._way.target) as connection:
                process = await connection.create_process(command, encoding=None)
                try:
                    process.stdin.write(stdin)
                    await self._hand_on(process)
                finally:
                    process.channel.abort()
        except (asyncssh.Error, OSError, EOFError, ValueError):  # the follower sees an end without a last word
            pass
        except SkyrigError as error:
            self.reader.set_exception(error)
            return
        self.reader.feed_eof()

    async def _hand_on(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        while (await process.stdout.readline()) not in (door.MARK + b"begin\n", b""):
            pass  # what the login's start-up files print
        while (received := await receive(process.stdout)) is not None:
            message, payload = received
            self.moved = True
            if message.get("event") == "facts":
                record = CONVERTER.unstructure(statuses.record(message["facts"]))
                self.reader.feed_data(encode({"event": "state", "record": record}))
            elif message.get("event") != "tick":
                message.pop("len", None)
                self.reader.feed_data(encode(message, payload or None))
            if message.get("event") == "end" or "error" in message:
                return


class _Asked:
    """The writing half of a `_Line`."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def write(self, data: bytes) -> None:
        """Take the one request."""
        self._line.ask(json.loads(data))

    async def drain(self) -> None:
        """It is taken at once."""
