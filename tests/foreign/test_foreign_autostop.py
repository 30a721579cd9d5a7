"""Autostop on a machine with stock OpenSSH: who is at a terminal there is seen by the titles of sshd's processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from attrs import evolve
from foreign_jobs import until
from foreign_nodes import Lab

from skyrig import places
from skyrig.cluster.autostop import NOTE, Autostop, read_note
from skyrig.cluster.description import ClusterDescription, Power
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.target import from_description
from skyrig.launch import client


def test_a_person_at_a_terminal_keeps_the_machine_up(lab_of: Callable[..., Lab], home: Path) -> None:
    lab = lab_of(seed=True)
    power = Power(stop_itself="echo off >> ~/off")
    desc = evolve(lab.description("auto"), power=power)
    off = lab.head.path("off")

    async def scenario() -> None:
        async with await connect(from_description(desc, "n0"), Credentials(desc.ssh.private_key)) as connection:
            person = await connection.create_process("echo here; read answer", term_type="xterm")
            await person.stdout.readline()
            await client.autostop(desc, Autostop(0))
            for _ in range(4):  # each of them would be refused if the one before had left an idle cluster
                await client.acquaint(desc)
            closed = time.time()
        await until(off.exists)
        assert off.stat().st_mtime >= closed

    asyncio.run(scenario())
    assert noted(desc) == 0, "the client keeps what the nodes cannot bring"


def noted(desc: ClusterDescription) -> float | None:
    """The seconds in the note that this client keeps."""
    note = read_note((places.records(desc.name) / NOTE).read_text())
    return note.idle_s if note is not None and note.head == desc.head.incarnation else None
