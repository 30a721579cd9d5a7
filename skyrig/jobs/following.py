"""The output of a managed job over all its attempts, on whatever clusters these run, and what happens to it meanwhile.

An attempt's log is read from the keeper on its cluster; where that answers no more, from what was kept of it, from the
very byte on that was shown last. So nothing comes twice, and nothing that anybody still has is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, BinaryIO

from attrs import frozen

from skyrig import places
from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput, SkyrigError
from skyrig.jobs import told
from skyrig.jobs.seen import Seen
from skyrig.jobs.state import TaskState
from skyrig.launch.link import keeper
from skyrig.launch.view import View
from skyrig.stack import described, lock

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_LOOK_S = 0.3
"""How often it is looked what has become of the job."""

_AGAIN_S = 1.0
"""How long after a connection broke the head is tried again."""

_ASK_S = 5.0
"""How often the engine may be asked for a cluster that nobody here has described yet."""

_REACH_S = 4.0
_LEAVE_S = 3.0
"""How long the log of an attempt that is over may take to come to its end, before what was kept of it is read."""


@frozen
class Wanted:
    """What is wanted of a job's output: of one `task` alone, of one `attempt` (its position among the task's, from 0)
    or one `rank` alone, the newest attempt's last lines alone (`tail`), and whether to `follow` it to its end."""

    task: int | None = None
    attempt: int | None = None
    rank: int | None = None
    tail: int | None = None
    follow: bool = True


@frozen
class Source:
    """Where what is known of the job comes from: `look` tells it as it is now (None: it is gone), `lines` what the
    controller has done for it since it was asked last."""

    look: Callable[[], Seen | None]
    lines: Callable[[], Sequence[str]] = lambda: ()


async def follow(source: Source, wanted: Wanted, out: BinaryIO, notify: Notify) -> Seen:
    """Write the job's output to `out`, and with `wanted.follow` go on until it has ended; what happens to it meanwhile
    goes to `notify`. As it is then. SkyrigError where nothing is known of it (any more)."""
    now = await _looked(source)
    if not wanted.follow:
        for index, position in _runs(now, wanted):
            await _Run(now.job.tasks[index], position, wanted, out, notify).show_once()
        return now
    async with _watching(source, now, notify) as watch:
        await _Follower(watch, wanted, out, notify).run()
        return await watch.until(lambda seen: seen.status.ended)


async def _looked(source: Source) -> Seen:
    seen = await asyncio.to_thread(source.look)
    if seen is None:
        raise SkyrigError("nothing is known of the job any more", hint="`jobs.queue` lists those that there are")
    return seen


def _runs(now: Seen, wanted: Wanted) -> list[tuple[int, int]]:
    """The attempts that are wanted of those there are: tasks' numbers and positions among their attempts."""
    found = [
        (task.index, position)
        for task in now.job.tasks
        if wanted.task in (None, task.index)
        for position in range(len(task.jobs))
        if wanted.attempt in (None, position)
    ]
    return found[-1:] if wanted.tail is not None else found


class _Watch:
    """What is known of the job, looked at again and again; what is new is told."""

    def __init__(self, source: Source, now: Seen, notify: Notify) -> None:
        self.now = now
        self._source = source
        self._notify = notify
        self._changed = asyncio.Event()
        self._told: Seen | None = None
        self._failed: BaseException | None = None

    async def run(self) -> None:
        """Look until it has ended."""
        try:
            while True:
                for line in await asyncio.to_thread(self._source.lines):
                    self._notify(f"    {line}")
                for line in told.news(self._told, self.now):
                    self._notify(f"managed job {self.now.job.id}: {line}")
                self._told = self.now
                self._wake()
                if self.now.status.ended:
                    return
                await asyncio.sleep(_LOOK_S)
                self.now = await _looked(self._source)
        except SkyrigError as error:
            self._failed = error
            self._wake()

    async def until(self, condition: Callable[[Seen], bool]) -> Seen:
        """What is known once that holds. Errors of looking are raised here."""
        while not condition(self.now):
            if self._failed is not None:
                raise self._failed
            await self._changed.wait()
        return self.now

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@asynccontextmanager
async def _watching(source: Source, now: Seen, notify: Notify) -> AsyncIterator[_Watch]:
    watch = _Watch(source, now, notify)
    looking = asyncio.create_task(watch.run())
    try:
        yield watch
        await looking  # the last news
    finally:
        await _ended(looking)


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait for that."""
    task.cancel()
    await asyncio.wait({task})


class _Follower:
    """Shows one attempt after the other."""

    def __init__(self, watch: _Watch, wanted: Wanted, out: BinaryIO, notify: Notify) -> None:
        self._watch, self._wanted = watch, wanted
        self._out, self._notify = out, notify

    async def run(self) -> None:
        """Until the last attempt of the last task that is wanted."""
        known = _runs(self._watch.now, self._wanted)
        first = known[-1] if self._wanted.tail is not None and known else (0, 0)
        for task in self._watch.now.job.tasks:
            if self._wanted.task in (None, task.index) and task.index >= first[0]:
                await self._task(task.index, first[1] if task.index == first[0] else 0)

    async def _task(self, index: int, position: int) -> None:
        while True:
            now = await self._watch.until(partial(_has, index, position))
            if len(now.job.tasks[index].jobs) <= position:
                return
            run = _Run(now.job.tasks[index], position, self._wanted, self._out, self._notify)
            await run.follow(self._watch)
            position += 1


def _has(index: int, position: int, seen: Seen) -> bool:
    """Whether a task has begun that attempt, or will not."""
    return len(seen.job.tasks[index].jobs) > position or _is_over(seen, index)


def _is_over(seen: Seen, index: int) -> bool:
    """Whether no more attempts of a task come."""
    return seen.status.ended or seen.job.tasks[index].status.ended or seen.job.current.index > index


class _Run:
    """One attempt's output."""

    def __init__(self, task: TaskState, position: int, wanted: Wanted, out: BinaryIO, notify: Notify) -> None:
        self._stack, self._number = task.stack, task.jobs[position]
        self._index, self._position = task.index, position
        self._view: View | None = None
        self._desc: ClusterDescription | None = None
        self._asked_at = float("-inf")
        self._task, self._wanted, self._out, self._notify = task, wanted, out, notify

    async def show_once(self) -> None:
        """Write what there is."""
        self._begin(await self._described())
        if self._desc is None or not await self._stream(None):
            self._take_kept()

    async def follow(self, watch: _Watch) -> None:
        """Write what comes, until the attempt has ended or another one has begun."""
        self._begin(await self._described())
        while True:
            if self._desc is not None and await self._stream(watch):
                return
            if self._is_past(watch.now):
                self._take_kept()
                return
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(watch.until(self._is_past), _AGAIN_S)
            self._desc = await self._described()

    def _begin(self, desc: ClusterDescription | None) -> None:
        """The line that stands between attempts, and the view of this one."""
        self._desc = desc
        if self._position and self._wanted.rank is None and self._wanted.tail is None:
            self._out.write(f"(skyrig) {told.attempt(self._task, self._position)}\n".encode())
            self._out.flush()
        self._view = View(
            desc, None, self._out, self._notify, job_id=self._number, rank=self._wanted.rank,
            tail=self._wanted.tail, keep_on=self._wanted.follow, quiet=True,
        )  # fmt: skip

    def _is_past(self, seen: Seen) -> bool:
        """Whether this attempt is surely over: another one has begun, or its task has ended."""
        return len(seen.job.tasks[self._index].jobs) > self._position + 1 or _is_over(seen, self._index)

    async def _described(self) -> ClusterDescription | None:
        """The cluster as it is now; None where it is gone or being changed."""
        desc = await asyncio.to_thread(described.known, self._stack)
        clock = asyncio.get_running_loop().time()
        if desc is None and clock - self._asked_at > _ASK_S and not lock.is_held(self._stack):
            self._asked_at = clock
            with suppress(SkyrigError):  # what was kept answers, and it is asked again
                desc = await asyncio.to_thread(described.describe, self._stack)
        return desc

    async def _stream(self, watch: _Watch | None) -> bool:
        """Write what the keeper has, from where it was left; whether that is all of it."""
        assert self._desc is not None and self._view is not None
        try:
            async with keeper(self._desc, patience_s=_REACH_S, notify=self._notify) as link:
                following = self._view.follow(link)
                broke = await (self._raced(following, watch) if watch is not None else following)
        except BadInput:  # a head that was made anew knows nothing of it
            return False
        except SkyrigError:  # it answers no more, or never was used: what was kept answers
            return False
        return not broke

    async def _raced(self, following: Coroutine[Any, Any, bool], watch: _Watch) -> bool:
        """Whether the connection broke, or had to be left: a head that was cut off may say nothing for long after
        others have taken over."""
        streaming = asyncio.create_task(following)
        past = asyncio.create_task(watch.until(self._is_past))
        try:
            await asyncio.wait({streaming, past}, return_when=asyncio.FIRST_COMPLETED)
            if not streaming.done():
                await asyncio.wait({streaming}, timeout=_LEAVE_S)
            return streaming.result() if streaming.done() else True
        finally:
            await _ended(streaming)
            await _ended(past)

    def _take_kept(self) -> None:
        """Write what was kept of it beyond what was shown."""
        assert self._view is not None
        with suppress(OSError, ValueError):  # nothing was
            self._view.take_kept(places.records(self._stack))
