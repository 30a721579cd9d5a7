"""Listening to nodes: a program of ours on each of them says lines of JSON for as long as it is wanted, on an SSH
session of the keeper's, and is started again after any break. Nothing is remembered here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from attrs import frozen

from skyrig.cluster.description import Node
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.process import BREAKS, begin
from skyrig.fleet.target import inside
from skyrig.launch import nodeside


class House(Protocol):
    """What is needed of the keeper."""

    log: logging.Logger
    pool: Pool


@frozen
class Topic:
    """What nodes are listened to about: its `name` in the keeper's log, the `program` that says it (see skyrig.launch.
    nodeside), seconds of pause before a node that could not be asked is asked again, seconds that the program may be
    silent, and bytes from which on a line is not believed."""

    name: str
    program: str
    again_s: float
    silence_s: float
    longest: float = math.inf


class Listeners:
    """One listener a node; what each hears goes to `take`."""

    def __init__(self, house: House, topic: Topic, take: Callable[[Node, dict[str, Any]], None]) -> None:
        self._house = house
        self._topic = topic
        self._take = take
        self._listening: dict[str, asyncio.Task[None]] = {}

    def only(self, nodes: Iterable[Node], given: Mapping[str, Any]) -> None:
        """From now on listen to these nodes and to no others; `given` is what the program is told where it is begun."""
        wanted = {f"{node.id} {node.life}": node for node in nodes}
        for key, task in list(self._listening.items()):
            if key not in wanted or task.done():  # done: by a defect of ours, which asyncio tells
                self._listening.pop(key).cancel()
        for key in wanted.keys() - self._listening.keys():
            self._listening[key] = asyncio.create_task(self._listen(wanted[key], given))

    async def _listen(self, node: Node, given: Mapping[str, Any]) -> None:
        while True:
            try:
                await self._hear(node, given)
            except BREAKS as error:
                self._house.log.info("%s of %s: %s", self._topic.name, node.id, error)
            await asyncio.sleep(self._topic.again_s)

    async def _hear(self, node: Node, given: Mapping[str, Any]) -> None:
        """One connection's worth of listening."""
        command, stdin = nodeside.program(self._topic.program, given)
        async with self._house.pool.session(inside(node)) as connection:
            process = await begin(connection, command)
            try:
                process.stdin.write(stdin)
                while True:
                    async with timeout(self._topic.silence_s):
                        line = await process.stdout.readuntil(b"\n")
                    # A node's shell start-up files may print something first.
                    if line.startswith(b"{") and len(line) < self._topic.longest:
                        self._take(node, json.loads(line))
            finally:
                process.close()
