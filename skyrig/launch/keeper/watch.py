"""The op `watch`: one job, named by its key, as the keeper sees it, told at each change and every few seconds. Whoever
watches may answer with the lease of a controller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from attrs import evolve

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.launch.job import CONVERTER
from skyrig.launch.keeper.bell import Bell
from skyrig.launch.keeper.caretaker import Caretaker
from skyrig.launch.keeper.lookout import Lookout
from skyrig.launch.keeper.table import JobTable
from skyrig.launch.protocol import Message, encode, receive
from skyrig.launch.sight import Sight

_EVERY_S = 5.0
"""Seconds after which a sight is told that is no other than the last one."""

_LOOK_S = 1.0
"""Seconds between two looks where nothing has rung: a connection that is only silent rings no bell."""


class Running(Protocol):
    """A job that has had its turn."""

    @property
    def silent(self) -> Mapping[str, float]:
        """Seconds by node."""

    @property
    def quiet_s(self) -> float:
        """Seconds without output or sign of life."""


class House(Protocol):
    """What is needed of the keeper."""

    table: JobTable
    lookout: Lookout
    caretaker: Caretaker
    bell: Bell

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def flows(self) -> Mapping[int, Running]:
        """The jobs that have had their turn, by their numbers."""


def sight(house: House, key: str) -> Sight:
    """The job with this key as it is now."""
    record = house.table.keyed(key) if key else None
    running = house.flows.get(record.id) if record is not None else None
    if record is None or running is None:
        return Sight(record)
    nodes = [node for node in house.cluster.nodes if node.id in record.nodes]
    return Sight(
        record=record,
        silent={node_id: round(seconds, 1) for node_id, seconds in running.silent.items()},
        leaving=house.lookout.notices.leaving(nodes),
        quiet_s=round(running.quiet_s, 1),
    )


async def watch(house: House, message: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell, and hear, until the watcher hangs up."""
    telling = asyncio.create_task(_tell(house, message["key"], writer))
    hearing = asyncio.create_task(_hear(house, reader, writer))
    done, left = await asyncio.wait({telling, hearing}, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in done:
        task.result()


async def _tell(house: House, key: str, writer: asyncio.StreamWriter) -> None:
    told: Sight | None = None
    told_at = 0.0
    while True:
        rung = house.bell.next()
        now = sight(house, key)
        if told is None or _differ(told, now) or time.monotonic() >= told_at + _EVERY_S:
            told, told_at = now, time.monotonic()
            writer.write(encode({"sight": CONVERTER.unstructure(now)}))
            await writer.drain()
        ringing = asyncio.create_task(rung.wait())
        await asyncio.wait({ringing}, timeout=_LOOK_S)
        ringing.cancel()


def _differ(told: Sight, now: Sight) -> bool:
    """Whether more has changed than that time has passed."""

    def still(each: Sight) -> Sight:
        return evolve(each, silent=dict.fromkeys(each.silent, 0.0), quiet_s=0.0)

    return still(told) != still(now)


async def _hear(house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take leases until the watcher hangs up; one that cannot be is answered with `refused`."""
    while (heard := await receive(reader)) is not None:
        if "lease" in heard[0]:
            try:
                house.caretaker.set_lease(heard[0]["lease"])
            except SkyrigError as error:
                writer.write(encode({"refused": error.message, "hint": error.hint}))
