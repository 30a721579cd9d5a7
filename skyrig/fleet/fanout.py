"""Running commands on nodes, one or many at once, and getting back exactly what they said.

Commands are shell text for the node's own login shell. Nothing secret may stand in one: it shows in the node's process
list; secrets travel on `stdin`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from functools import partial

from attrs import define, field, frozen

from skyrig.errors import NodeLost, SkyrigError, Unreachable
from skyrig.fleet.connection import loss_reason
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.process import begin
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target

_CHUNK = 1 << 16
"""Bytes read or written at a time; also the length at which a line without an end is handed on."""


@frozen
class Result:
    """How a command ended: `code` is its exit status, or 128 + n for signal n; streams are kept apart and are bytes."""

    target_id: str
    code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)


class CommandLost(NodeLost):
    """The connection broke before the command's end was known: it may have run, or still run. `stdout` and `stderr`
    hold what came before."""

    def __init__(self, message: str, *, node_id: str, stdout: bytes, stderr: bytes) -> None:
        super().__init__(message, node_id=node_id, hint="`status` shows whether the node runs")
        self.stdout = stdout
        self.stderr = stderr


class CommandTimedOut(SkyrigError):
    """The command ran longer than `timeout_s`. It was sent KILL, which some SSH servers ignore. `stdout` and `stderr`
    hold what came before."""

    def __init__(self, message: str, *, target_id: str, stdout: bytes, stderr: bytes) -> None:
        super().__init__(message, hint="give it more time, or look at what it waits for")
        self.target_id = target_id
        self.stdout = stdout
        self.stderr = stderr


async def run(
    pool: Pool, target: Target, command: str, *, stdin: bytes | None = None, timeout_s: float | None = None
) -> Result:
    """Run `command` on `target` and wait for its end; a non-zero exit is a result, not an error.

    Both streams are held in memory whole. `timeout_s` counts from the moment the session is open. Raises Unreachable
    or HostKeyMismatch where no connection could be made, CommandLost where it broke, and CommandTimedOut.
    """
    return await _run(pool, target, command, stdin, timeout_s, None)


async def run_all(
    pool: Pool,
    targets: Iterable[Target],
    command: str,
    *,
    stdin: bytes | None = None,
    timeout_s: float | None = None,
    on_line: Callable[[str, bytes], None] | None = None,
) -> dict[str, Result]:
    """Run one command on all `targets` at once; results by target id, in the order of `targets`.

    `on_line(target_id, line)` gets every line of both streams as it comes, its end included (pieces of 64 KiB where a
    line is longer, and a last line without an end as it is). The first error of `run` ends the commands on the other
    nodes (their channels are closed) and is raised.
    """
    tasks = {}
    for target in targets:
        sink = partial(on_line, target.id) if on_line else None
        tasks[target.id] = asyncio.create_task(_run(pool, target, command, stdin, timeout_s, sink))
    try:
        return dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def run_each(
    pool: Pool,
    targets: Iterable[Target],
    command: str,
    *,
    stdin: bytes | None = None,
    timeout_s: float | None = None,
    on_line: Callable[[str, bytes], None] | None = None,
) -> dict[str, Result | SkyrigError]:
    """Like `run_all`, but an error of `run` is that node's outcome, and the others go on."""

    async def one(target: Target) -> Result | SkyrigError:
        sink = partial(on_line, target.id) if on_line else None
        try:
            return await _run(pool, target, command, stdin, timeout_s, sink)
        except SkyrigError as error:
            return error

    targets = list(targets)
    ends = await asyncio.gather(*(one(target) for target in targets))
    return {target.id: end for target, end in zip(targets, ends, strict=True)}


@define
class _Stream:
    """One output stream: everything so far, and the lines handed on."""

    sink: Callable[[bytes], None] | None
    parts: list[bytes] = field(factory=list)
    rest: bytes = b""

    async def drain(self, reader: asyncssh.SSHReader[bytes]) -> None:
        """Read to the end of the stream."""
        while chunk := await reader.read(_CHUNK):
            self.parts.append(chunk)
            if self.sink:
                self._lines(self.sink, chunk)

    def finish(self) -> bytes:
        """All bytes; hands on what is left without a line end."""
        if self.sink and self.rest:
            self.sink(self.rest)
            self.rest = b""
        return b"".join(self.parts)

    def _lines(self, sink: Callable[[bytes], None], chunk: bytes) -> None:
        *whole, self.rest = (self.rest + chunk).split(b"\n")
        for line in whole:
            sink(line + b"\n")
        while len(self.rest) >= _CHUNK:
            sink(self.rest[:_CHUNK])
            self.rest = self.rest[_CHUNK:]


async def _run(
    pool: Pool,
    target: Target,
    command: str,
    stdin: bytes | None,
    timeout_s: float | None,
    sink: Callable[[bytes], None] | None,
) -> Result:
    out, err = _Stream(sink), _Stream(sink)
    async with pool.session(target) as connection:
        process = await _start(connection, target, command, stdin is None)
        try:
            async with timeout(timeout_s):
                await asyncio.gather(out.drain(process.stdout), err.drain(process.stderr), _feed(process, stdin))
                await process.wait_closed()
        except asyncio.TimeoutError:
            raise CommandTimedOut(
                f"the command on node {target.id} ran longer than {timeout_s:g} s",
                target_id=target.id,
                stdout=out.finish(),
                stderr=err.finish(),
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise _lost(connection, target, out, err) from error
        finally:
            _end(process)
        code = _code(process)
        if code is None:
            raise _lost(connection, target, out, err)
        return Result(target.id, code, out.finish(), err.finish())


async def _start(
    connection: asyncssh.SSHClientConnection, target: Target, command: str, no_input: bool
) -> asyncssh.SSHClientProcess[bytes]:
    stdin = asyncssh.DEVNULL if no_input else asyncssh.PIPE
    try:
        return await begin(connection, command, stdin=stdin)
    except (asyncssh.Error, OSError) as error:
        reason = loss_reason(connection) if connection.is_closed() else getattr(error, "reason", "") or str(error)
        raise Unreachable(f"node {target.id} opened no session: {reason}", node_id=target.id) from error


async def _feed(process: asyncssh.SSHClientProcess[bytes], data: bytes | None) -> None:
    """Write all of `data`. A command that ends without reading it is no error."""
    if data is None:
        return
    try:
        for start in range(0, len(data), _CHUNK):
            process.stdin.write(data[start : start + _CHUNK])
            await process.stdin.drain()
        process.stdin.write_eof()
    except ConnectionError:
        return


def _end(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """Let go of a process: KILL if it still runs, and its channel closed, with what it has not read."""
    if not process.is_closing():
        try:
            process.kill()
        except OSError:  # the channel went down meanwhile, which is what was wanted
            return
        process.channel.abort()  # a plain close waits until all input is read, which may be never


def _code(process: asyncssh.SSHClientProcess[bytes]) -> int | None:
    """Exit status, 128 + n for signal n, or None where the server never said."""
    if process.exit_signal:
        number = signal.Signals.__members__.get(f"SIG{process.exit_signal[0]}")
        return 128 + (number or 0)
    return process.exit_status


def _lost(connection: asyncssh.SSHClientConnection, target: Target, out: _Stream, err: _Stream) -> CommandLost:
    reason = loss_reason(connection) if connection.is_closed() else "its SSH server ended the session"
    return CommandLost(
        f"lost node {target.id} while a command ran there: {reason}",
        node_id=target.id,
        stdout=out.finish(),
        stderr=err.finish(),
    )
