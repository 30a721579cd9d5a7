"""The page while it is open: takes in the snapshots of each service, and answers the browser until it is cancelled."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from attrs import field, frozen

from skyrig import places
from skyrig.errors import SkyrigError
from skyrig.serve.page import answers
from skyrig.serve.page.history import History
from skyrig.serve.state import Snapshot

_HEAD_BYTES = 16 * 1024
_ASKING_S = 10.0
"""How long a browser may take to say what it wants."""

_SOONEST_S, _LATEST_S = 1.0, 30.0
"""Pauses between two attempts to reach a service that cannot be reached."""


@frozen
class Watched:
    """One service on the page. `snapshots` begins to watch it, and is called anew after that ended or failed with a
    SkyrigError or OSError. `away` says in one line why it does not scale at the moment, "" where it does."""

    name: str
    snapshots: Callable[[], AsyncIterator[Snapshot]]
    endpoint: str = ""
    away: Callable[[], str] = lambda: ""


@frozen
class Page:
    """What an open page is made of; `token` is the part of its URL that nobody else knows. `metrics` gives the
    Prometheus text of what is on it."""

    services: tuple[Watched, ...]
    histories: dict[str, History]
    metrics: Callable[[], Awaitable[str]] | None = None
    token: str = field(factory=lambda: secrets.token_urlsafe(24), repr=False)

    def document(self, after: dict[str, int], now: float) -> dict[str, Any]:
        """The data of all services at `now`, with the points that the browser has not got."""
        each = [self.histories[one.name].to_json(after.get(one.name, 0), one.away()) for one in self.services]
        return {"now": now, "services": each}


async def open_page(
    services: Sequence[Watched],
    *,
    port: int = 0,
    notify: Callable[[str], None],
    metrics: Callable[[], Awaitable[str]] | None = None,
) -> None:
    """Show services to a browser of this machine, on `port` (0: one that is free), until this is cancelled. The URL
    goes to `notify`; only who has it sees the page. `metrics` is what it answers at URL/metrics. SkyrigError where the
    port is taken."""
    page = Page(tuple(services), {one.name: History(one.name, one.endpoint) for one in services}, metrics)
    async with answering(page, port) as url:
        watching = [asyncio.create_task(_watch(one, page.histories[one.name])) for one in page.services]
        try:
            notify(f"status page: {url} (Ctrl-C ends it)")
            await asyncio.gather(*watching)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)


@asynccontextmanager
async def answering(page: Page, port: int) -> AsyncIterator[str]:
    """A server that answers browsers with `page`; yields its URL. SkyrigError where the port is taken."""
    html = await asyncio.to_thread((places.shipped() / "templates" / "serve" / "page.html").read_bytes)
    try:
        server = await asyncio.start_server(
            lambda reader, writer: _answer(page, html, reader, writer), "127.0.0.1", port, limit=_HEAD_BYTES
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise SkyrigError(f"the page cannot be served on port {port}: {why}", hint="leave the port out") from error
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{page.token}/"
    finally:
        server.close()


async def _watch(service: Watched, history: History) -> None:
    """Take in a service's snapshots, for ever."""
    pause = _SOONEST_S
    while True:
        reason = "its steward sends nothing any more"
        try:
            async for snapshot in service.snapshots():
                history.take(snapshot, time.time())
                pause = _SOONEST_S
        except (SkyrigError, OSError) as error:
            reason = str(error)
        history.lose(reason, time.time())
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LATEST_S)


async def _answer(page: Page, html: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the one request of a connection."""
    with suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.TimeoutError):
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _ASKING_S)
            request = answers.read(head, page.token)
            answer = answers.BAD if request is None else await _answer_to(page, html, request)
            writer.write(answer.encode(head_only=request is not None and request.method == "HEAD"))
            await writer.drain()
        finally:
            writer.close()


async def _answer_to(page: Page, html: bytes, request: answers.Request) -> answers.Answer:
    if request.place is None:
        return answers.MISSING
    if request.method not in ("GET", "HEAD"):
        return answers.METHOD
    if request.place == "":
        return answers.page(html)
    if request.place == "data.json":
        return answers.data(page.document(request.after, time.time()))
    if request.place == "metrics":
        return await _metrics(page)
    return answers.MISSING


async def _metrics(page: Page) -> answers.Answer:
    if page.metrics is None:
        return answers.MISSING
    try:
        return answers.metrics(await page.metrics())
    except (SkyrigError, OSError) as error:
        return answers.failed(str(error))
