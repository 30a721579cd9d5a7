"""The keeper beside the steward: replicas become jobs of it, and what it knows of them is looked at over its socket."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import SkyrigError
from skyrig.fleet.deadline import timeout
from skyrig.launch import lines, protocol
from skyrig.launch.job import CONVERTER, JobRecord, JobRequest, JobStatus
from skyrig.launch.protocol import KeeperGone, Message
from skyrig.serve.steward.memory import Held
from skyrig.standing import Standing

LOOK_S = 0.5
"""How often the keeper is asked what has become of the replicas' jobs."""

ABSENT_S = 5.0
"""How long no keeper may answer before one is started: its own watch is quicker, where there is one."""

_ANSWER_S = 60.0
_WHOLE_NODE = 1e9
"""Cores of a replica's job: more than any node has, so it gets each of its nodes to itself."""

_LAST_LINES = 20
_MODULE = "skyrig.launch.keeper"


class KeptJobs:
    """The jobs of replicas. `known` are their records by replica id, as they were last seen, None while no keeper
    answers; `unknown` are ids of replicas whose job the keeper has never heard of. `changed` is called where that
    becomes another."""

    def __init__(self, home: Path, changed: Callable[[], None]) -> None:
        self.known: dict[int, JobRecord] | None = None
        self.unknown: set[int] = set()
        self._home = home
        self._socket = Standing(home, "keeper", _MODULE).socket()
        self._changed = changed
        self._watched: dict[int, int] = {}

    def mind(self, jobs: Mapping[int, int]) -> None:
        """From now on look at these: job id by replica id. Those that have ended change no more."""
        self._watched = dict(jobs)
        if self.known is not None:
            self.known = {replica: record for replica, record in self.known.items() if replica in jobs}
        self.unknown &= jobs.keys()

    async def look_on(self) -> None:
        """Without end: look, wait."""
        absent_since = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if await self._look():
                    self._changed()
                absent_since = 0.0
            except (OSError, EOFError, ValueError, SkyrigError, asyncio.TimeoutError):
                self.known = None
                absent_since = absent_since or loop.time()
                if loop.time() - absent_since > ABSENT_S:
                    await self._start()
                    absent_since = 0.0
            await asyncio.sleep(LOOK_S)

    async def submit(self, held: Held, request: JobRequest, *, uid: str, nodes_each: int) -> JobRecord:
        """The job of a replica, which is the same however often this is asked. SkyrigError where the keeper refuses."""
        ours = {"SERVE_REPLICA_ID": str(held.id), "SERVE_PORT": str(held.port)}
        named = {f"SKYRIG_{name}": value for name, value in ours.items()}
        asked = evolve(
            request,
            env={**request.env, **named, "SKYPILOT_SERVE_REPLICA_ID": str(held.id)},
            num_nodes=nodes_each,
            on=held.nodes,
            key=f"serve/{uid}/{held.id}",
            cpus=_WHOLE_NODE,
        )
        answer = await self.ask({"op": "submit", "request": CONVERTER.unstructure(asked)})
        record = CONVERTER.structure(answer["record"], JobRecord)
        if self.known is not None:
            self.known[held.id] = record
        return record

    async def end(self, job_id: int, reason: str) -> None:
        """End a job; returns once every process of it has."""
        await self.ask({"op": "cancel", "ids": [job_id], "reason": reason})

    async def ask(self, message: Message) -> dict[str, Any]:
        """One request and its answer. SkyrigError where the keeper refuses, KeeperGone where it does not answer."""
        try:
            async with timeout(_ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=protocol.LINE_LIMIT)
                try:
                    return (await protocol.ask(reader, writer, message))[0]
                finally:
                    writer.close()
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            raise KeeperGone(f"the keeper does not answer: {error}") from error

    def last_lines(self, held: Held) -> tuple[str, ...]:
        """What a replica's job printed last, as far as its log lies here."""
        record = (self.known or {}).get(held.id)
        if record is None:
            return ()
        path = self._home / "jobs" / record.uid / "job.log"
        rank = max(0, record.culprit)
        if record.status is JobStatus.FAILED_SETUP and record.nodes:
            place = record.nodes[rank] if rank < len(record.nodes) else record.nodes[0]
            rank = lines.SETUP + (record.cluster.index(place) if place in record.cluster else 0)
        try:
            found = lines.last(path, rank, _LAST_LINES) or lines.last(path, lines.NOTE, _LAST_LINES)
        except OSError:
            return ()
        return tuple(text.decode(errors="replace") for text in found)

    async def _look(self) -> bool:
        """Whether something is other than before."""
        watched, before = dict(self._watched), self.known
        answer = await self.ask({"op": "queue", "ids": sorted(watched.values())})
        records = {row["id"]: CONVERTER.structure(row, JobRecord) for row in answer["records"]}
        found = {replica: records[job] for replica, job in watched.items() if job in records}
        unknown = watched.keys() - found.keys()
        newer = {replica: record for replica, record in (self.known or {}).items() if replica not in watched}
        self.known, self.unknown = {**newer, **found}, set(unknown)
        return self.known != before or bool(unknown)

    async def _start(self) -> None:
        """Have a keeper there: after a boot nobody else may."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", _MODULE, "ensure"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            env=dict(os.environ),
        )
        await process.wait()


def share_an_address(cluster: ClusterDescription) -> bool:
    """Whether a port of one node is that of another too, so that each replica needs one of its own."""
    return len({node.address for node in cluster.nodes}) < len(cluster.nodes)


def address(node: Node, port: int) -> str:
    """HOST:PORT as addresses are written."""
    return f"[{node.address}]:{port}" if ":" in node.address else f"{node.address}:{port}"


def free_port(taken: Sequence[int]) -> int:
    """A port that is free on this machine, which is that of all nodes where they share an address."""
    import random
    import socket

    for port in random.sample(range(20000, 30000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        if port not in taken:
            return port
    raise SkyrigError("no port is free on the head", hint="see what listens there")
