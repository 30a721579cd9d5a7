"""The line to the controller's node: one request a connection, over SSH, to the program that does there what commands
do here (skyrig.seated).

To it go one line of JSON (the request), an archive, and lines of JSON that answer questions. What a job wrote comes
back as it is; what is said, asked and returned comes as lines of JSON beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from attrs import frozen

from skyrig import errors, places
from skyrig.cluster.description import ClusterDescription
from skyrig.control.database.address import VARIABLE
from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import from_description

Notify = Callable[[str], None]
"""Takes one line for the reader."""

Confirm = Callable[[str], bool]
"""Asks the reader a question."""

PROGRAM = "exec ~/.skyrig/runtime/bin/python -I -m skyrig.seated"
"""What the node runs for a request."""

_REACH_S = 20.0
_PIECE = 1 << 16


@frozen
class Terminal:
    """The reader: what jobs wrote goes to `out` (None: nowhere), what is said to `notify`, and `confirm` is asked."""

    notify: Notify = lambda line: None
    confirm: Confirm = lambda question: False
    out: BinaryIO | None = None


def ask(cluster: ClusterDescription, op: str, words: dict[str, Any], terminal: Terminal, archive: Path | None) -> Any:
    """What the controller's node returns for a request. Errors there are raised here as what they are; NodeLost where
    it cannot be reached, or the line breaks: what it has begun goes on."""
    return asyncio.run(_asked(cluster, op, words, terminal, archive))


def _environment(cluster: ClusterDescription) -> dict[str, str]:
    """What of ours is true there too: where a database is; on this machine, where programs and prices are kept."""
    known = {VARIABLE: os.environ.get(VARIABLE, "")}
    if cluster.cloud == "local":
        known |= {"SKYRIG_CACHE": str(places.cache()), "SKYRIG_CATALOG": os.environ.get("SKYRIG_CATALOG", "")}
    return {name: value for name, value in known.items() if value}


async def _asked(
    cluster: ClusterDescription, op: str, words: dict[str, Any], terminal: Terminal, archive: Path | None
) -> Any:
    head = cluster.head.id
    connection = await connect(
        from_description(cluster, head), Credentials(cluster.ssh.private_key), deadline_s=_REACH_S
    )
    async with connection:
        process = await connection.create_process(PROGRAM, encoding=None)
        size = archive.stat().st_size if archive is not None else 0
        request = {"op": op, "words": words, "environment": _environment(cluster), "size": size}
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            if archive is not None:
                await _sent(process, archive)
            _, ended = await asyncio.gather(_shown(process, terminal), _heard(process, terminal))
        except (asyncssh.Error, OSError) as error:
            raise _cut_off(cluster) from error
    if ended is None:
        raise _cut_off(cluster)
    if "error" in ended:
        raise _error(ended["error"])
    return ended["value"]


async def _sent(process: asyncssh.SSHClientProcess[bytes], archive: Path) -> None:
    with archive.open("rb") as file:
        while piece := file.read(_PIECE):
            process.stdin.write(piece)
            await process.stdin.drain()


async def _shown(process: asyncssh.SSHClientProcess[bytes], terminal: Terminal) -> None:
    """Pass on what jobs wrote."""
    while piece := await process.stdout.read(_PIECE):
        if terminal.out is not None:
            terminal.out.write(piece)
            terminal.out.flush()


async def _heard(process: asyncssh.SSHClientProcess[bytes], terminal: Terminal) -> dict[str, Any] | None:
    """Tell what is said and answer what is asked, until it ends; how it ended, None where it did not say."""
    ended, rest = None, b""
    while piece := await process.stderr.read(_PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                terminal.notify(line.decode(errors="replace"))  # a traceback, or a word of the node's own
                continue
            if "say" in message:
                terminal.notify(str(message["say"]))
            elif "ask" in message:
                answer = await asyncio.to_thread(terminal.confirm, str(message["ask"]))
                process.stdin.write(json.dumps({"answer": answer}).encode() + b"\n")
            else:
                ended = message
    return cast("dict[str, Any] | None", ended)


def _cut_off(cluster: ClusterDescription) -> NodeLost:
    head = cluster.head.id
    hint = "jobs go on; run the same command again"
    return NodeLost(f"the line to the controller's node {head} of {cluster.name} broke", node_id=head, hint=hint)


def _error(said: dict[str, Any]) -> SkyrigError:
    """An error of the node's as the one of our family that has its exit code."""
    kind = getattr(errors, str(said["kind"]), SkyrigError)
    if kind in (errors.BadInput, errors.NoCapacity, errors.NotYet):
        made: SkyrigError = kind(str(said["message"]), hint=said["hint"])
        return made
    return SkyrigError(str(said["message"]), hint=said["hint"])
