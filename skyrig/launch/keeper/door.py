"""The keeper's door: a unix socket on the head that answers the requests of skyrig.launch.protocol.

Whoever can connect to it is the node's own user (the socket lies in a folder of mode 0700), which over SSH is whoever
holds the client's key.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from skyrig.errors import SkyrigError
from skyrig.fleet.content import FrameReader
from skyrig.launch.job import CONVERTER, JobRecord, JobRequest
from skyrig.launch.keeper.keeper import Keeper
from skyrig.launch.keeper.watch import watch
from skyrig.launch.lines import tail_offset
from skyrig.launch.protocol import LINE_LIMIT, MAJOR, MINOR, Message, encode, receive, send
from skyrig.launch.records import SAMPLES
from skyrig.launch.runtime import code

_CHUNK = 256 * 1024
"""Most bytes of a log in one message."""

_MOST_JOBS = 5000
"""Jobs that one `queue` tells of: the newest, and all that have not ended."""

Handler = Callable[[Message, bytes], Awaitable[Message]]


answering: set[Door] = set()
"""Connections whose request is being answered now (followers do not count): a keeper that leaves waits for them."""


class Door:
    """One connection. `serve` answers its requests one after another until the client hangs up."""

    def __init__(self, keeper: Keeper, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keeper = keeper
        self._reader = reader
        self._writer = writer
        self._handlers: dict[str, Handler] = {
            "hello": self._hello,
            "describe": self._describe,
            "prepare": self._prepare,
            "need": self._need,
            "blobs": self._blobs,
            "submit": self._submit,
            "queue": self._queue,
            "cancel": self._cancel,
            "settle": self._settle,
            "drain": self._drain,
            "autostop": self._autostop,
            "ttl": self._ttl,
            "preflight": self._preflight,
            "uncordon": self._uncordon,
        }

    async def serve(self) -> None:
        """Answer until the client hangs up."""
        try:
            while (asked := await receive(self._reader)) is not None:
                if asked[0]["op"] == "follow":
                    self._keeper.following.add(self)
                    await self._follow(asked[0])
                    break
                if asked[0]["op"] == "watch":
                    await watch(self._keeper, asked[0], self._reader, self._writer)
                    break
                answering.add(self)
                if asked[0]["op"] == "flush":
                    await self._flush(asked[0])
                elif asked[0]["op"] == "samples":
                    await send(self._writer, {}, await self._samples(asked[0]))
                else:
                    await send(self._writer, await self._answer(*asked))
                answering.discard(self)
        except (ConnectionError, EOFError):
            pass  # the client went away, which is its right at any moment
        finally:
            answering.discard(self)
            self._keeper.following.discard(self)
            self._keeper.caretaker.release(self)
            self._writer.close()

    async def _answer(self, message: Message, payload: bytes) -> Message:
        handler = self._handlers.get(message["op"])
        try:
            if handler is None:
                raise SkyrigError(f"the keeper does not know the request {message['op']!r}", hint="run `up`")
            return await handler(message, payload)
        except SkyrigError as error:
            return {"error": error.message, "hint": error.hint, "code": error.exit_code}
        except Exception as error:  # a defect of ours must reach the client as one line and leave the keeper running
            self._keeper.log.exception("request %s", message.get("op"))
            return {"error": f"the keeper failed: {error!r}", "hint": "see ~/.skyrig/keeper.log on the head", "code": 5}

    async def _hello(self, message: Message, payload: bytes) -> Message:
        """With `hold` the cluster counts as used until this connection submits or ends."""
        if message.get("hold"):
            self._keeper.caretaker.hold(self)
        return {
            "protocol": [MAJOR, MINOR],
            "mounts": True,
            "buckets": True,
            "samples": True,
            "preflight": True,
            "release": code.RELEASE,
            "build": code.build(),
            "superseded": code.superseded(self._keeper.home, message.get("build", "")),
            "known": self._keeper.knows(message["digest"]),
            "public_key": self._keeper.key.public,
        }

    async def _describe(self, message: Message, payload: bytes) -> Message:
        """`undrain` also forgets which nodes were about to be removed."""
        unprepared = self._keeper.describe(message["cluster"], undrain=bool(message.get("undrain")))
        return {"unprepared": unprepared}

    async def _prepare(self, message: Message, payload: bytes) -> Message:
        failed = await self._keeper.prepare(message["digest"])
        self._keeper.adopt()
        return {"failed": failed}

    async def _need(self, message: Message, payload: bytes) -> Message:
        """What the store lacks of a manifest; of one named by its `digest` alone, if it is known here."""
        missing = self._keeper.nodes.lacking(message.get("digest", ""), payload)
        return {"unknown": True} if missing is None else {"missing": missing}

    async def _blobs(self, message: Message, payload: bytes) -> Message:
        """The contents `shas` come as frames behind the message."""
        frames = FrameReader(self._keeper.store, message["shas"])
        try:
            while not frames.done:
                block = await self._reader.read(_CHUNK)
                if not block:
                    raise EOFError
                frames.feed(block)
        finally:
            frames.close()
        return {}

    async def _submit(self, message: Message, payload: bytes) -> Message:
        record = await self._keeper.submit(CONVERTER.structure(message["request"], JobRequest))
        self._keeper.caretaker.release(self)
        return {"record": CONVERTER.unstructure(record)}

    async def _queue(self, message: Message, payload: bytes) -> Message:
        """All jobs; with `ids` those alone, as far as they are known."""
        if message.get("ids") is not None:
            known = (self._keeper.table.get(job_id) for job_id in message["ids"])
            return {"records": [CONVERTER.unstructure(record) for record in known if record is not None]}
        return {"records": self._keeper.table.rows(_MOST_JOBS)}

    async def _cancel(self, message: Message, payload: bytes) -> Message:
        return {"cancelled": await self._keeper.cancel(message["ids"], message.get("reason", "cancelled"))}

    async def _settle(self, message: Message, payload: bytes) -> Message:
        await self._keeper.settle()
        return {}

    async def _flush(self, message: Message) -> None:
        """Waits `deadline_s` (null: as long as an autostop) for what was written on `nodes` (null: all) to be in its
        buckets; a message with `note` now and then, at the end one with `left`: what is not."""

        def say(line: str) -> None:
            self._writer.write(encode({"note": line}))

        left = await self._keeper.flush(say, message["deadline_s"], message.get("nodes"))
        await send(self._writer, {"left": left})

    async def _drain(self, message: Message, payload: bytes) -> Message:
        """`nodes` are about to be removed; `force` ends the jobs on them. Answers which jobs keep which node busy."""
        return {"busy": await self._keeper.drain(message["nodes"], force=bool(message.get("force")))}

    async def _autostop(self, message: Message, payload: bytes) -> Message:
        """Sets autostop to `setting` (`idle_s`, `down`, `wait_for`), or cancels it where that is null."""
        note = self._keeper.caretaker.set(message["setting"])
        await self._keeper.archive.files_soon()
        return {"note": note.to_json()}

    async def _ttl(self, message: Message, payload: bytes) -> Message:
        """Sets the time to live to `setting` (`left_s` from now, `said`), or lifts it where that is null."""
        note = self._keeper.caretaker.set_ttl(message["setting"])
        await self._keeper.archive.files_soon()
        return {"note": note.to_json()}

    async def _preflight(self, message: Message, payload: bytes) -> Message:
        """The report of `job` (left out: the newest), and which nodes are cordoned."""
        return self._keeper.fitness.told(message.get("job"))

    async def _uncordon(self, message: Message, payload: bytes) -> Message:
        """Jobs may come to `nodes` again. Answers as `preflight`."""
        self._keeper.fitness.uncordon(message["nodes"])
        await self._keeper.archive.files_soon()
        return self._keeper.fitness.told()

    # -- following a job

    async def _follow(self, message: Message) -> None:
        """Stream a job's log and its state until it ends, or the client hangs up."""
        table = self._keeper.table
        job_id = message["id"] if message["id"] is not None else table.last_id()
        record = table.get(job_id) if job_id is not None else None
        if record is None:
            missing = f"there is no job {job_id}" if job_id is not None else "there is no job yet"
            await send(self._writer, {"error": missing, "hint": "`queue` lists them", "code": 2})
            return
        offset = message.get("offset", 0)
        if message.get("tail") is not None:
            log, rank = self._log(record), message.get("rank")
            offset = await asyncio.to_thread(tail_offset, log, message["tail"], rank=rank)
        streaming = asyncio.create_task(self._stream(record, follow=message["follow"], offset=offset))
        hanging_up = asyncio.create_task(self._reader.read(1))
        _, left = await asyncio.wait({streaming, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        ends = await asyncio.gather(streaming, hanging_up, return_exceptions=True)
        if isinstance(ends[0], Exception):
            raise ends[0]

    async def _stream(self, record: JobRecord, *, follow: bool, offset: int) -> None:
        table = self._keeper.table
        shown = None
        told: Mapping[str, Any] = {}
        while True:
            book = self._keeper.logbook(record)
            changed = book.pulse() if book else None
            record = table.get(record.id) or record
            if record != shown:
                shown = record
                await self._tell({"event": "state", "record": CONVERTER.unstructure(record)})
            if (now := self._keeper.now(record.id)) != told:
                told = now
                await self._tell({"event": "now", **now})  # older clients pass it over
            while block := _whole_lines(self._log(record), offset):  # pruning may take an old job's first one away
                offset += len(block)
                await self._tell({"event": "log", "offset": offset}, block)
            if not follow or (record.status.ended and book is None):  # it has, once its records are where they shall be
                await self._tell({"event": "end"})
                return
            if changed is not None:
                await changed.wait()

    async def _samples(self, message: Message) -> bytes:
        """What the nodes of the job `id` were used for, as lines; none where none were taken."""
        record = self._keeper.table.get(message["id"])
        if record is None:
            return b""
        try:
            return await asyncio.to_thread(self._log(record).with_name(SAMPLES).read_bytes)
        except OSError:
            return b""

    def _log(self, record: JobRecord) -> Path:
        """Where a job's log is to be read: here, or in the records folder when it is no longer here."""
        here = self._keeper.log_path(record)
        return here if here.exists() else self._keeper.archive.log(record.id) or Path(os.devnull)

    async def _tell(self, message: Message, payload: bytes | None = None) -> None:
        self._writer.write(encode(message, payload))
        await self._writer.drain()


def _whole_lines(path: Path, offset: int) -> bytes:
    """The next whole lines of a log file from `offset`, _CHUNK bytes at most unless one line is longer."""
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(_CHUNK)
        return block[: block.rfind(b"\n") + 1]


async def listen(keeper: Keeper, path: Path) -> asyncio.Server:
    """Serve the socket at `path` (its folder is the caller's to protect)."""

    async def opened(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Door(keeper, reader, writer).serve()

    return await asyncio.start_unix_server(opened, path, limit=LINE_LIMIT)
