"""The keeper's door: a unix socket on the head that answers the requests of skyrig.launch.protocol.

Whoever can connect to it is the node's own user (the socket lies in a folder of mode 0700), which over SSH is whoever
holds the client's key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from skyrig.errors import SkyrigError
from skyrig.fleet.content import FrameReader, Manifest
from skyrig.launch.job import CONVERTER, JobRecord, JobRequest
from skyrig.launch.keeper.keeper import Keeper
from skyrig.launch.lines import tail_offset
from skyrig.launch.protocol import LINE_LIMIT, MAJOR, MINOR, Message, encode, receive, send

_CHUNK = 256 * 1024
"""Most bytes of a log in one message."""

Handler = Callable[[Message, bytes], Awaitable[Message]]


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
        }

    async def serve(self) -> None:
        """Answer until the client hangs up."""
        try:
            while (asked := await receive(self._reader)) is not None:
                if asked[0]["op"] == "follow":
                    await self._follow(asked[0])
                    break
                await send(self._writer, await self._answer(*asked))
        except (ConnectionError, EOFError):
            pass  # the client went away, which is its right at any moment
        finally:
            self._writer.close()

    async def _answer(self, message: Message, payload: bytes) -> Message:
        handler = self._handlers.get(message["op"])
        try:
            if handler is None:
                raise SkyrigError(f"the keeper does not know the request {message['op']!r}", hint="run `invoke up`")
            return await handler(message, payload)
        except SkyrigError as error:
            return {"error": error.message, "hint": error.hint, "code": error.exit_code}
        except Exception as error:  # a defect of ours must reach the client as one line and leave the keeper running
            self._keeper.log.exception("request %s", message.get("op"))
            return {"error": f"the keeper failed: {error!r}", "hint": "see ~/.skyrig/keeper.log on the head", "code": 5}

    async def _hello(self, message: Message, payload: bytes) -> Message:
        return {
            "protocol": [MAJOR, MINOR],
            "known": self._keeper.knows(message["digest"]),
            "public_key": self._keeper.key.public,
        }

    async def _describe(self, message: Message, payload: bytes) -> Message:
        return {"unprepared": self._keeper.describe(message["cluster"])}

    async def _prepare(self, message: Message, payload: bytes) -> Message:
        failed = await self._keeper.prepare(message["digest"])
        self._keeper.adopt()
        return {"failed": failed}

    async def _need(self, message: Message, payload: bytes) -> Message:
        manifest = Manifest.from_bytes(payload)
        missing = self._keeper.store.missing(manifest.blobs())
        self._keeper.store.put_manifest(manifest)
        return {"missing": missing}

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
        record = self._keeper.submit(CONVERTER.structure(message["request"], JobRequest))
        return {"record": CONVERTER.unstructure(record)}

    async def _queue(self, message: Message, payload: bytes) -> Message:
        return {"records": CONVERTER.unstructure(self._keeper.table.all())}

    async def _cancel(self, message: Message, payload: bytes) -> Message:
        return {"cancelled": await self._keeper.cancel(message["ids"])}

    async def _settle(self, message: Message, payload: bytes) -> Message:
        self._keeper.settle()
        return {}

    # -- following a job

    async def _follow(self, message: Message) -> None:
        """Stream a job's log and its state until it ends, or the client hangs up."""
        table = self._keeper.table
        job_id = message["id"] if message["id"] is not None else table.last_id()
        record = table.get(job_id) if job_id is not None else None
        if record is None:
            missing = f"there is no job {job_id}" if job_id is not None else "there is no job yet"
            await send(self._writer, {"error": missing, "hint": "invoke queue lists them", "code": 2})
            return
        offset = message.get("offset", 0)
        if message.get("tail") is not None:
            log, rank = self._keeper.log_path(record), message.get("rank")
            offset = await asyncio.to_thread(tail_offset, log, message["tail"], rank=rank)
        streaming = asyncio.create_task(self._stream(record, follow=message["follow"], offset=offset))
        hanging_up = asyncio.create_task(self._reader.read(1))
        _, left = await asyncio.wait({streaming, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        if streaming.done():
            streaming.result()

    async def _stream(self, record: JobRecord, *, follow: bool, offset: int) -> None:
        table, path = self._keeper.table, self._keeper.log_path(record)
        shown = None
        while True:
            book = self._keeper.logbook(record)
            changed = book.pulse() if book else None
            record = table.get(record.id) or record
            if record != shown:
                shown = record
                await self._tell({"event": "state", "record": CONVERTER.unstructure(record)})
            while block := _whole_lines(path, offset):
                offset += len(block)
                await self._tell({"event": "log", "offset": offset}, block)
            if not follow or record.status.ended:
                await self._tell({"event": "end"})
                return
            if changed is not None:
                await changed.wait()

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
