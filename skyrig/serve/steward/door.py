"""The steward's door: a unix socket on the head, framed as the keeper's is (skyrig.launch.protocol), for whoever is let
in to the head as its user.

`apply`, `describe`, `snapshot`, `watch`, `replace`, `metrics` and `stop` are its requests; `hello` says who answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from skyrig.errors import SkyrigError
from skyrig.launch.job import CONVERTER as REQUESTS
from skyrig.launch.job import JobRequest
from skyrig.launch.protocol import LINE_LIMIT, Message, receive, send
from skyrig.launch.runtime import code
from skyrig.serve import spec as specs
from skyrig.serve.spec import Secrets, ServiceSpec
from skyrig.serve.state import Snapshot
from skyrig.serve.steward.steward import Steward

MAJOR, MINOR = 1, 0
"""Version of what is spoken here."""

WATCH_S = 5.0
"""How often a watcher hears of the service at least."""

_LEAST_S = 0.1
"""Least pause between two snapshots for one watcher: what changes more often need not be seen."""

Handler = Callable[[Message], Awaitable[Message]]

open_doors: set[Door] = set()
"""Connections that are open: a steward with nothing to do stays for them."""


class Door:
    """One connection. `serve` answers its requests one after another until the client hangs up."""

    def __init__(self, steward: Steward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._steward = steward
        self._reader = reader
        self._writer = writer
        self._handlers: dict[str, Handler] = {
            "hello": self._hello,
            "apply": self._apply,
            "describe": self._describe,
            "snapshot": self._snapshot,
            "replace": self._replace,
            "metrics": self._metrics,
            "stop": self._stop,
        }

    async def serve(self) -> None:
        """Answer until the client hangs up."""
        open_doors.add(self)
        try:
            while (asked := await receive(self._reader)) is not None:
                if asked[0]["op"] == "watch":
                    await self._watch(capacity=bool(asked[0].get("capacity")))
                    break
                await send(self._writer, await self._answer(asked[0]))
        except (ConnectionError, EOFError):
            pass  # the client went away, which is its right at any moment
        finally:
            open_doors.discard(self)
            self._writer.close()

    async def _answer(self, message: Message) -> Message:
        handler = self._handlers.get(message["op"])
        try:
            if handler is None:
                raise SkyrigError(f"the steward does not know the request {message['op']!r}", hint="run `serve.update`")
            return await handler(message)
        except SkyrigError as error:
            return {"error": error.message, "hint": error.hint, "code": error.exit_code}
        except Exception as error:  # a defect of ours must reach the client as one line and leave the steward running
            self._steward.log.exception("request %s", message.get("op"))
            return {
                "error": f"the steward failed: {error!r}",
                "hint": "see ~/.skyrig/steward.log on the head",
                "code": 5,
            }

    async def _hello(self, message: Message) -> Message:
        return {"protocol": [MAJOR, MINOR], "build": code.build(), "release": code.RELEASE}

    async def _apply(self, message: Message) -> Message:
        """Returns once what was asked for is on disk; what it takes comes by itself."""
        spec = specs.CONVERTER.structure(message["spec"], ServiceSpec)
        request = REQUESTS.structure(message["request"], JobRequest)
        secret = specs.CONVERTER.structure(message["secrets"], Secrets)
        return {"version": await self._steward.apply(spec, request, secret, message["cluster"])}

    async def _describe(self, message: Message) -> Message:
        self._steward.describe(message["cluster"])
        return {}

    async def _snapshot(self, message: Message) -> Message:
        return {"snapshot": _plain(await self._steward.snapshot())}

    async def _replace(self, message: Message) -> Message:
        self._steward.replace(int(message["id"]))
        return {}

    async def _metrics(self, message: Message) -> Message:
        return {"text": await self._steward.metrics()}

    async def _stop(self, message: Message) -> Message:
        """Returns once nothing is left of the service here."""
        await self._steward.stop()
        return {}

    async def _watch(self, *, capacity: bool) -> None:
        """Tell of the service at each change, and at least every WATCH_S, until the client hangs up. With `capacity`
        whoever watches makes nodes where some are wanted."""
        telling = asyncio.create_task(self._tell_on())
        hanging_up = asyncio.create_task(self._reader.read(1))
        if capacity:
            self._steward.watching.add(self)
        try:
            await asyncio.wait({telling, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._steward.watching.discard(self)
            for task in (telling, hanging_up):
                task.cancel()
            await asyncio.gather(telling, hanging_up, return_exceptions=True)

    async def _tell_on(self) -> None:
        while True:
            told = await self._steward.snapshot()
            news = asyncio.ensure_future(self._steward.news())
            await send(self._writer, {"snapshot": _plain(told)})
            await asyncio.sleep(_LEAST_S)
            await asyncio.wait({news}, timeout=WATCH_S - _LEAST_S)
            news.cancel()


def _plain(told: Snapshot | None) -> Message | None:
    return specs.CONVERTER.unstructure(told) if told is not None else None


async def listen(steward: Steward, path: Path) -> asyncio.Server:
    """Serve the socket at `path` (its folder is the caller's to protect)."""

    async def opened(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Door(steward, reader, writer).serve()

    return await asyncio.start_unix_server(opened, path, limit=LINE_LIMIT)
