"""One rank of a job, followed through the supervisor on its node over any number of SSH connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from attrs import evolve, frozen

from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.process import BREAKS, begin
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target
from skyrig.launch import nodeside
from skyrig.launch.keeper.logbook import Logbook

LEASE_S = 10.0
"""Seconds without word from the supervisor after which the keeper calls a rank lost. By then nothing of it lives: its
supervisor counts the same time from a moment on its own clock that the keeper had told it back, and which lies before
the keeper heard of it (see supervisor.py)."""

GRACE_S = 5.0
"""Seconds between TERM and KILL for a rank that is ended."""

AT_ONCE_S = 0.5
"""Seconds for which a connection may be broken before that is told: most are back at once."""

UNHEARD_S = 0.3 * LEASE_S
"""Seconds without a word after which a node counts as silent, be its connection never so whole: it says one more than
twice in this time."""

RANK_LOG_LIMIT = 256 * 1024 * 1024
"""Bytes of one rank's output that are kept; a cut is marked in the log."""


@frozen
class Failure:
    """One process of a rank that failed: its exit code, and when, on the keeper's clock."""

    moment: float
    code: int


@frozen
class RankEnd:
    """How a rank ended. `code` is its process's own (128+signal), -1 when it was lost or never began; `why` is "exit",
    "ended", "lease", "node", "lost", "refused" (its supervisor would not start it) or "mount" (one of its node's died,
    or does not bring its files up); `moment` is when its first process failed (or it ended) on the keeper's clock;
    `reason` says in words why it was lost, refused or failed by a mount; `failed` tells whether a process of it had
    failed before; `heard` is when its supervisor was heard of last, on the same clock."""

    code: int
    why: str
    moment: float
    reason: str = ""
    failed: bool = False
    heard: float = 0.0

    @property
    def lost(self) -> bool:
        """Whether the node or its supervisor went away under the rank."""
        return self.why in ("lost", "node", "lease")

    @property
    def told(self) -> bool:
        """Whether it ended because it was told to, and not by its own doing."""
        return self.why == "ended" and not self.failed


class Rank:
    """Follows one rank. `log_rank` is the number under which its lines stand in the log; `ready` is waited for before
    the node is spoken to; `changed` is called when it falls silent and when it speaks again. `base` are the bytes that
    came under that number before, from an earlier life of the rank. `failures` are its processes that failed."""

    def __init__(
        self,
        pool: Pool,
        target: Target,
        directory: str,
        log_rank: int,
        logbook: Logbook,
        ready: Callable[[], Awaitable[None]] | None = None,
        changed: Callable[[], None] = lambda: None,
        base: int = 0,
    ) -> None:
        self.target = target
        self.log_rank = log_rank
        self.failed_at: float | None = None
        self.failures: list[Failure] = []
        self._pool = pool
        self._directory = directory
        self._logbook = logbook
        self._offset = max(0, logbook.offsets.get(log_rank, 0) - base)
        self._ready = ready
        self._changed = changed
        self._heard = self._signed = asyncio.get_running_loop().time()
        self._broken_at: float | None = None
        self._end: RankEnd | None = None
        self._gone = asyncio.Event()
        self._why_gone = ""
        self._moment = 0.0
        self._end_grace: float | None = None
        self._notices: list[Callable[[], dict[str, Any]]] = []
        self._started = self._spoken = False
        self._told = self._known = 0
        self._stdin: asyncssh.SSHWriter[bytes] | None = None

    @property
    def silent_s(self) -> float:
        """For how many seconds its node cannot be heard, by now; 0 while it can be. No proof that it is gone."""
        now = asyncio.get_running_loop().time()
        since = self._heard if self._broken_at is None else max(self._heard, self._broken_at)
        bound = UNHEARD_S if self._broken_at is None else AT_ONCE_S
        return now - since if now - since >= bound and (self._end is None or self._end.lost) else 0.0

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not well."""
        return self._end is not None and self._end.code != 0

    @property
    def quiet_s(self) -> float:
        """For how many seconds it has written nothing and given no sign of life."""
        return asyncio.get_running_loop().time() - self._signed

    async def run(self, spec: Mapping[str, Any] | None, patience_s: float = 0.0) -> RankEnd:
        """Start the rank (with `spec`; one that was started before is joined) or re-adopt it (None), and follow it to
        its end. A node that only just boots has `patience_s` seconds more than one that is known to live."""
        following = asyncio.create_task(self._run(spec, patience_s))
        losing = asyncio.create_task(self._gone.wait())
        now = asyncio.get_running_loop().time
        try:
            await asyncio.wait({following, losing}, return_when=asyncio.FIRST_COMPLETED)
            end = following.result() if following.done() else RankEnd(-1, "lost", now(), self._why_gone)
        finally:
            following.cancel()
            losing.cancel()
        self._end = evolve(end, heard=min(self._heard, now()))
        return self._end

    def lose(self, reason: str) -> None:
        """Its machine is gone for certain: the rank is lost, now."""
        self._why_gone = reason
        self._gone.set()

    async def _run(self, spec: Mapping[str, Any] | None, patience_s: float) -> RankEnd:
        loop = asyncio.get_running_loop()
        self._heard = loop.time() + patience_s
        reason = "its supervisor did not answer"
        while (left := self._heard + LEASE_S - loop.time()) > 0:
            try:
                end = await self._connect_and_follow(spec, left)
            except BREAKS as error:
                reason = "it does not answer" if isinstance(error, asyncio.TimeoutError) else str(error) or repr(error)
            else:
                if end is not None:
                    return end
                reason = "the connection to its supervisor broke"
            if self._broken_at is None and self._spoken:
                self._broken_at = loop.time()
                loop.call_later(AT_ONCE_S, self._changed)
            await asyncio.sleep(0.1)
        return RankEnd(-1, "lost", loop.time(), reason)

    def end(self, grace_s: float = GRACE_S) -> None:
        """Ask for the end of the rank: TERM, then KILL after `grace_s` seconds. Kept over broken connections."""
        self._end_grace = grace_s
        self._tell_end()

    def notice(self, order: Callable[[], dict[str, Any]]) -> None:
        """Let the rank know that a node of its job is about to go: `order` says it as it is at the moment. Kept over
        broken connections."""
        self._notices.append(order)
        self._order(order())

    async def _connect_and_follow(self, spec: Mapping[str, Any] | None, left: float) -> RankEnd | None:
        """One connection's worth of following, begun within `left` seconds."""
        starting = spec is not None and not self._started
        words = ("start",) if starting else ("attach", self._directory, str(self._offset))
        async with AsyncExitStack() as stack:
            async with timeout(left):
                if self._ready is not None:
                    await self._ready()
                connection = await stack.enter_async_context(self._pool.session(self.target))
                process = await begin(connection, nodeside.supervisor(*words))
            stack.callback(process.close)
            return await self._follow(process, spec if starting else None)

    def _tell_end(self) -> None:
        if self._end_grace is not None:
            self._order({"op": "end", "grace_s": self._end_grace})

    def _order(self, order: dict[str, Any]) -> None:
        if self._stdin is not None:
            with suppress(OSError):  # the connection broke: the next one tells it
                self._stdin.write(json.dumps(order).encode() + b"\n")

    async def _follow(
        self, process: asyncssh.SSHClientProcess[bytes], spec: Mapping[str, Any] | None
    ) -> RankEnd | None:
        """Read frames until the rank's end (returned), or until connection or lease broke (None)."""
        renewing = asyncio.create_task(self._watch(process))
        ready = heard = False
        self._told = 0
        try:
            while True:
                line = await process.stdout.readuntil(b"\n")
                if not line.startswith(b'{"k"') and not ready:
                    continue  # a node's shell start-up files may print something first
                ready, header = True, json.loads(line)
                payload = await process.stdout.readexactly(header["len"]) if "len" in header else b""
                self._hear()
                self._moment = header.get("t", self._moment)
                if header["k"] == "ready":
                    now = {"grace_s": GRACE_S, "t": self._moment, "offset": self._offset}
                    process.stdin.write(json.dumps({**spec, **now} if spec is not None else {}).encode() + b"\n")
                    continue
                heard = self._started = self._spoken = True
                if self._stdin is None:
                    self._stdin = process.stdin
                    self._tell_end()
                    self._renew(process)
                    for order in self._notices:
                        self._order(order())
                end = self._take(header, payload)
                if end is not None:
                    return end
        except EOFError:
            return None if heard else await self._refusal(process)
        finally:
            self._stdin = None
            renewing.cancel()

    def _hear(self) -> None:
        """Its node has said something."""
        was_silent = self.silent_s > 0
        self._heard, self._broken_at = asyncio.get_running_loop().time(), None
        if was_silent:
            self._changed()

    async def _refusal(self, process: asyncssh.SSHClientProcess[bytes]) -> RankEnd | None:
        """The rank's end, if its supervisor ended by itself before it said a word; None if the connection broke."""
        said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        await process.wait_closed()
        if process.exit_status is None or not 0 < process.exit_status < 128:
            return None  # it did not end by itself: a signal does that, on a machine that shuts down
        reason = said[-1] if said else f"its supervisor ended with code {process.exit_status}"
        return RankEnd(-1, "refused", asyncio.get_running_loop().time(), reason)

    def _take(self, header: dict[str, Any], payload: bytes) -> RankEnd | None:
        now = asyncio.get_running_loop().time()
        kind = header["k"]
        if kind in ("log", "proc", "alive"):
            self._signed = now
        if kind == "log":
            fresh = payload[max(0, self._offset - header["off"]) :]
            self._offset += len(fresh)
            self._logbook.add(self.log_rank, fresh)
        elif kind == "proc":
            self._note(Failure(now - header["age_s"], header["code"]))
        elif kind == "gone":
            return RankEnd(-1, "lost", now, "its supervisor is gone")
        elif kind == "exit":
            self._logbook.flush(self.log_rank)
            unmarked = header.get("size", self._offset) - self._offset
            if unmarked > 0:
                self._logbook.skip(self.log_rank, unmarked, "its node's disk did not take it")
                self._offset += unmarked
            first = header.get("first")
            moment = now - (first or header)["age_s"]
            reason = header.get("reason") or f"ended on its node: {header['why']}"
            return RankEnd(header["code"], header["why"], moment, reason, first is not None)
        return None

    def _note(self, ended: Failure) -> None:
        """Take the record of a process, unless an earlier connection brought it: each begins with all of them."""
        self._told += 1
        if self._told > self._known:
            self._known = self._told
            if ended.code:
                self.failures.append(ended)
                self.failed_at = self.failed_at or ended.moment

    def _renew(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        """Let the lease run on from the newest moment that the node has told."""
        with suppress(OSError):  # the connection broke, which its reader sees too
            process.stdin.write(json.dumps({"op": "lease", "t": self._moment}).encode() + b"\n")

    async def _watch(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        """Renew the lease; hang up when the supervisor has not been heard of for its length."""
        loop = asyncio.get_running_loop()
        while loop.time() < self._heard + LEASE_S:
            if self._stdin is not None:
                self._renew(process)
            await asyncio.sleep(LEASE_S / 8)
        process.close()
