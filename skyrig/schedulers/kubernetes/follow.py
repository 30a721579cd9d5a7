"""Tells of one job as a keeper would: its states and its lines, looked up until it has ended.

Logs are asked for by the second from which on they may have something new, not held open: many pods come and go in a
job's life, and what was seen once is known (skyrig.schedulers.kubernetes.book).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput, SkyrigError
from skyrig.launch import keeping
from skyrig.launch.job import CONVERTER, JobRecord
from skyrig.launch.protocol import LINE_LIMIT, Message, encode
from skyrig.schedulers.kubernetes import ledger, names, pods, statuses
from skyrig.schedulers.kubernetes.api import CORE, JOBS, JOBSETS, Api
from skyrig.schedulers.kubernetes.book import Book, Row, line

_EVERY_S = 0.5
"""How often a job of few nodes is looked at, in seconds; of many nodes less often."""

_AT_ONCE = 16
"""Logs that are asked for at the same time."""


class Story:
    """What a follower has been told of one job, also over a line before this one."""

    def __init__(self) -> None:
        self.book: Book | None = None
        self.told: JobRecord | None = None
        self.offset = 0


class Line:
    """What a follower speaks with, as it does with a keeper."""

    def __init__(self, api: Api, desc: ClusterDescription, story: Story) -> None:
        self.reader = asyncio.StreamReader(limit=LINE_LIMIT)
        self.writer = _Asked(self)
        self.moved = False
        self._api, self._desc = api, desc
        self._story = story
        self._telling: asyncio.Task[None] | None = None

    def ask(self, message: Message) -> None:
        """Begin to tell of a job."""
        self._telling = asyncio.create_task(self._tell(message))

    async def close(self) -> None:
        """Tell no more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    async def _tell(self, asked: Message) -> None:
        try:
            await self._told(asked)
        except SkyrigError as error:
            self.reader.set_exception(error)
            return
        self.reader.feed_eof()

    async def _told(self, asked: Message) -> None:
        story = self._story
        number = story.told.id if story.told is not None else asked.get("id") or await _newest(self._api, self._desc)
        before: list[Row] = []
        if story.book is None:
            story.book = Book(keeping.folder(self._desc) / str(number))
            before = story.book.kept()
        try:
            while True:
                record, there = await look(self._api, self._desc, number)
                self.moved = True
                rows = sorted([*before, *await read(self._api, story.book, there)])
                before = []
                self._tell_of(record, rows, asked)
                if record.status.ended or not asked["follow"]:
                    break
                await asyncio.sleep(_EVERY_S * max(1.0, record.num_nodes / _AT_ONCE))
        finally:
            story.book.keep()
        self.reader.feed_data(encode({"event": "end"}))

    def _tell_of(self, record: JobRecord, rows: list[Row], asked: Message) -> None:
        """Tell what is new: a state before the lines that come in it, the last one after all."""
        story = self._story
        first, last = story.told is None, record.status.ended
        if first:
            rows = _tail(rows, asked.get("tail"), asked.get("rank"))
        if first or (record != story.told and not last):
            self._state(record)
        self._rows(rows)
        if not first and record != story.told and last:
            self._state(record)
        story.told = record

    def _state(self, record: JobRecord) -> None:
        self.reader.feed_data(encode({"event": "state", "record": CONVERTER.unstructure(record)}))

    def _rows(self, rows: Sequence[Row]) -> None:
        payload = b"".join(line(row) for row in rows)
        if payload:
            self._story.offset += len(payload)
            self.reader.feed_data(encode({"event": "log", "offset": self._story.offset}, payload))


async def look(api: Api, desc: ClusterDescription, number: int) -> tuple[JobRecord, list[dict[str, Any]]]:
    """The record of a job and its pods; of one that is not there any more, what the ledger has of it. BadInput for one
    that never was."""
    name = names.job(desc.name, number)
    workload = await api.get(api.path(JOBSETS, "jobsets", name)) or await api.get(api.path(JOBS, "jobs", name))
    wanted = names.selector({names.STACK: names.slug(desc.name), names.JOB: str(number)})
    there = await api.items(api.path(CORE, "pods"), labelSelector=wanted)
    kept = await ledger.records(api, desc.name) if workload is None or _leaves(workload) else {}
    if number in kept:
        return kept[number], there
    if workload is None:
        raise BadInput(f"there is no job {number} on {desc.name}", hint="`queue` lists them")
    record = statuses.record(workload, there)
    if record.status.ended:
        await ledger.keep(api, desc.name, [record])
    return record, there


async def read(api: Api, book: Book, there: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The lines of a job's pods that were not known, in the order of their moments."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(pod: Mapping[str, Any]) -> list[Row]:
        meta = pod["metadata"]
        rank = int((meta.get("labels") or {}).get(statuses.INDEX, 0))
        async with room:
            said = await api.log(meta["name"], pods.CONTAINER, book.since(meta["uid"]))
        return book.add(meta["uid"], rank, said)

    begun = [pod for pod in there if (pod.get("status") or {}).get("phase") not in (None, "Pending")]
    return sorted(row for rows in await asyncio.gather(*map(one, begun)) for row in rows)


async def brought_up_to_date(api: Api, desc: ClusterDescription, number: int) -> None:
    """Keep here what there is of a job's lines, and its record."""
    record, there = await look(api, desc, number)
    book = Book(keeping.folder(desc) / str(number))
    book.kept()
    await read(api, book, there)
    book.keep()
    keeping.add(desc, record)


async def _newest(api: Api, desc: ClusterDescription) -> int:
    """The number of the newest job. BadInput where there is none."""
    wanted = names.selector({names.STACK: names.slug(desc.name)})
    found = [*await api.items(api.path(JOBSETS, "jobsets"), labelSelector=wanted),
             *await api.items(api.path(JOBS, "jobs"), labelSelector=wanted)]  # fmt: skip
    numbers = [int(each["metadata"]["labels"][names.JOB]) for each in found if names.JOB in each["metadata"]["labels"]]
    numbers += list(await ledger.records(api, desc.name))
    if not numbers:
        raise BadInput(f"{desc.name} has had no jobs")
    return max(numbers)


def _leaves(workload: Mapping[str, Any]) -> bool:
    """Whether somebody has deleted it, and it is about to go."""
    return bool(workload["metadata"].get("deletionTimestamp"))


def _tail(rows: list[Row], count: Any, rank: Any) -> list[Row]:
    """The last `count` of these lines (of `rank`, if given)."""
    if count is None:
        return rows
    wanted = [row for row in rows if rank is None or row[1] == rank]
    return wanted[-int(count) :] if int(count) > 0 else []


class _Asked:
    """The writing half of a `Line`."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def write(self, data: bytes) -> None:
        """Take the one request."""
        self._line.ask(json.loads(data))

    async def drain(self) -> None:
        """It is taken at once."""
