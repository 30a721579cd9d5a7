"""From the head to the other nodes: the workdir of a manifest, to all of them at once, sending only what each lacks.

The far end is skyrig.fleet.receiver. It is sent along with each spread, as standard input of a Python there, so a node
needs nothing but that Python (3.8 or newer), and cannot hold an old version of it.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncssh
from attrs import define, field, frozen

from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet import content, receiver
from skyrig.fleet.blobs import stored_frames
from skyrig.fleet.connection import loss_reason
from skyrig.fleet.content import VERSION, BlobStore, Manifest
from skyrig.fleet.pool import Pool
from skyrig.fleet.receiver import MARK, Changes
from skyrig.fleet.target import Target

_BOOTSTRAP = (
    "import json,sys,types\n"
    "i=sys.stdin.buffer\n"
    "for n,s in json.loads(i.read(int(i.readline()))):\n"
    " m=sys.modules[n]=types.ModuleType(n)\n"
    " exec(compile(s,n,'exec'),m.__dict__)\n"
    "sys.exit(m.main())"
)
_MODULES = (content, receiver)
_ROUNDS = 5
"""Times that a node may find files missing; a job that writes to them while they are compared makes for a second."""


class SpreadFailed(SkyrigError):
    """A node could not take the workdir; the message holds its own words."""


@frozen
class Places:
    """Where things lie on a node: the workdir, the state file of `materialise`, and blobs that are on their way."""

    target: str = "~/sky_workdir"
    state: str = "~/.skyrig/workdir.json"
    blobs: str = "~/.skyrig/incoming"


async def spread(
    pool: Pool,
    targets: Iterable[Target],
    store: BlobStore,
    manifest: Manifest,
    *,
    python: str,
    places: Places = Places(),
) -> dict[str, Changes | SkyrigError]:
    """Make the workdir on every target hold what `manifest` says; by target id what was changed, or why it failed.

    `python` is the interpreter to run there, a path ("~/" is the node's home) or a name. One node's failure leaves the
    others alone. The store must hold every blob of the manifest.
    """
    targets = list(targets)
    ends = await asyncio.gather(*(_guarded(pool, target, store, manifest, python, places) for target in targets))
    return {target.id: end for target, end in zip(targets, ends, strict=True)}


async def _guarded(
    pool: Pool, target: Target, store: BlobStore, manifest: Manifest, python: str, places: Places
) -> Changes | SkyrigError:
    try:
        async with pool.session(target) as connection:
            try:
                return await _one(connection, target, store, manifest, python, places)
            except (asyncssh.Error, OSError) as error:
                reason = loss_reason(connection) if connection.is_closed() else str(error)
                return NodeLost(f"lost node {target.id} while its workdir was sent: {reason}", node_id=target.id)
    except SkyrigError as error:
        return error


async def _one(
    connection: asyncssh.SSHClientConnection,
    target: Target,
    store: BlobStore,
    manifest: Manifest,
    python: str,
    places: Places,
) -> Changes:
    command = f"exec {_shell_path(python)} -I -c {shlex.quote(_BOOTSTRAP)}"
    async with connection.create_process(command, encoding=None) as process:
        lines = _Lines(process.stdout)
        await _send(process, [_opening(manifest, places)])
        for _ in range(_ROUNDS):
            answer = await _answer(process, lines, target)
            if "changes" in answer:
                written, removed, unchanged, kept = answer["changes"]
                return Changes(written, removed, unchanged, tuple(kept))
            if "error" in answer:
                raise SpreadFailed(f"node {target.id} could not take the workdir: {answer['error']}")
            await _send(process, stored_frames(store, answer["missing"]))
        raise SpreadFailed(
            f"node {target.id}: files of its workdir change as fast as they are written",
            hint="wait for the job that writes to them, or cancel it",
        )


def _opening(manifest: Manifest, places: Places) -> bytes:
    sources = [[module.__name__, Path(str(module.__file__)).read_text()] for module in _MODULES]
    program = json.dumps(sources).encode()
    body = manifest.to_bytes()
    header = {
        "version": VERSION,
        "manifest": len(body),
        "target": places.target,
        "state": places.state,
        "blobs": places.blobs,
    }
    return b"%d\n%s%s\n%s" % (len(program), program, json.dumps(header).encode(), body)


async def _send(process: asyncssh.SSHClientProcess[bytes], chunks: Iterable[bytes]) -> None:
    """Write as fast as the node reads. Where it has stopped reading, its answer says why."""
    try:
        for chunk in chunks:
            process.stdin.write(chunk)
            await process.stdin.drain()
    except BrokenPipeError:
        return


@define
class _Lines:
    """Lines of any length (asyncssh's own end at 2 MB, and the hashes of 30,000 files are longer)."""

    reader: asyncssh.SSHReader[bytes]
    rest: bytearray = field(factory=bytearray)

    async def next(self) -> bytes | None:
        """The next line without its end; None after the last one."""
        seen = 0
        while (end := self.rest.find(b"\n", seen)) < 0:
            seen = len(self.rest)
            chunk = await self.reader.read(1 << 16)
            if not chunk:
                return None
            self.rest += chunk
        line = bytes(self.rest[:end])
        del self.rest[: end + 1]
        return line


async def _answer(process: asyncssh.SSHClientProcess[bytes], lines: _Lines, target: Target) -> dict[str, Any]:
    """The node's next line to us, past whatever its shell's start-up files print."""
    while (line := await lines.next()) is not None:
        if line.startswith(MARK):
            answer: dict[str, Any] = json.loads(line[len(MARK) :])
            return answer
    await process.wait_closed()
    if process.exit_status is None:
        raise asyncssh.ConnectionLost("its SSH server ended the session")
    said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    raise SpreadFailed(f"node {target.id} could not take the workdir: {said[-1] if said else 'no reason given'}")


def _shell_path(path: str) -> str:
    """`path` as a word for the shell; "~/" stays the home folder."""
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)
