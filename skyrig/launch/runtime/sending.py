"""From the client to a head without internet: makes there what is missing of the runtime."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet.connection import loss_reason
from skyrig.fleet.process import begin
from skyrig.fleet.ssh import asyncssh
from skyrig.launch import nodeside
from skyrig.launch.runtime import code, sources
from skyrig.launch.runtime.layers import Layer, forget, layer, sha256_of
from skyrig.progress import Kind, Step, is_live, tell

Notify = Callable[[str], None]
"""Takes one line for the user."""

_MARK = b"skyrig-unpack "
_CHUNK = 1 << 18
_PROGRESS_S = 5.0
"""Seconds between two lines about a sending that takes long."""


@frozen
class Runtime:
    """A runtime by the names of its layers: what this client wants a head of some platform to have."""

    platform: sources.Platform

    @property
    def python(self) -> str:
        """Name of the interpreter's layer."""
        return f"python-{code.PYTHON}-{self.platform.name}"

    @property
    def packages(self) -> str:
        """Name of the packages' layer."""
        pins = hashlib.sha256((code.PINS / "keeper.txt").read_bytes()).hexdigest()
        return f"packages-{pins[:16]}-{self.platform.name}"

    @property
    def skyrig(self) -> str:
        """Name of the layer with our own code."""
        return f"skyrig-{code.RELEASE}-{code.build()}"

    def get(self, name: str, notify: Notify) -> Layer:
        """The layer called `name`, made or out of the cache. Takes minutes at worst: not for an event loop."""
        made = {
            self.python: lambda scratch: sources.python(self.platform, scratch, notify),
            self.packages: lambda scratch: sources.packages(self.platform, scratch, notify),
            self.skyrig: lambda scratch: sources.skyrig(),
        }
        return layer(name, made[name])

    def given(self) -> dict[str, Any]:
        """The input of skyrig/launch/unpack.py."""
        names = [self.python, self.packages, self.skyrig]
        return {
            "runtime": hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
            "python": self.python,
            "paths": names[1:],
            "module": "skyrig.launch.keeper.door",
        }


async def install(
    connection: asyncssh.SSHClientConnection, node_id: str, platform: sources.Platform, notify: Notify
) -> None:
    """Make `~/.skyrig/runtime` on the head `node_id` this client's runtime; only layers that are missing are sent.

    SkyrigError with the head's own words where it cannot take it; what was sent before a break is gone on with.
    """
    runtime = Runtime(platform)
    command, stdin = nodeside.program("unpack", runtime.given())
    try:
        async with await begin(connection, command) as process:
            with suppress(BrokenPipeError):  # it may have ended already, and its answer says why
                process.stdin.write(stdin)
            missing = (await _answer(process, node_id, notify))["missing"]
            if missing:
                await _supply(process, node_id, runtime, missing, notify)
            await _answer(process, node_id, notify)
    except (asyncssh.Error, OSError) as error:
        reason = loss_reason(connection) if connection.is_closed() else str(error) or repr(error)
        raise NodeLost(f"lost node {node_id} while its runtime was sent: {reason}", node_id=node_id) from error


async def _supply(
    process: asyncssh.SSHClientProcess[bytes], node_id: str, runtime: Runtime, missing: list[str], notify: Notify
) -> None:
    layers = [await asyncio.to_thread(runtime.get, name, notify) for name in missing]
    announced = [
        {"name": each.name, "sha256": each.sha256, "packed": each.packed, "unpacked": each.unpacked} for each in layers
    ]
    process.stdin.write(json.dumps(announced).encode() + b"\n")
    offsets = (await _answer(process, node_id, notify))["offsets"]
    total = sum(each.packed for each in layers) - sum(offsets)
    notify(f"sending Skyrig's runtime to {node_id}: {_size(total)}" + (" (the rest of it)" if any(offsets) else ""))
    sent, due = 0, time.monotonic() + _PROGRESS_S
    for each, offset in zip(layers, offsets, strict=True):
        async for count in _stream(process, each.path, offset):
            sent += count
            tell(notify, Step(Kind.SYNC, f"runtime to {node_id}", done=sent, total=total, ended=sent >= total))
            if time.monotonic() > due and not is_live(notify):
                notify(f"sending Skyrig's runtime to {node_id}: {_size(sent)} of {_size(total)}")
                due += _PROGRESS_S
        if await asyncio.to_thread(sha256_of, each.path) != each.sha256:
            forget(each)
            raise SkyrigError(f"{each.path} was damaged, and is removed", hint="run the same command again")


async def _stream(process: asyncssh.SSHClientProcess[bytes], path: Path, offset: int) -> AsyncIterator[int]:
    """Send a file from `offset` as fast as the head reads; counts of bytes. Where it has stopped reading, its answer
    says why."""
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_CHUNK):
            try:
                process.stdin.write(block)
                await process.stdin.drain()
            except BrokenPipeError:
                return
            yield len(block)


async def _answer(process: asyncssh.SSHClientProcess[bytes], node_id: str, notify: Notify) -> dict[str, Any]:
    """The head's next answer, past what its shell's start-up files print."""
    while line := await process.stdout.readline():
        if not line.startswith(_MARK):
            continue
        answer: dict[str, Any] = json.loads(line[len(_MARK) :])
        if "error" in answer:
            raise SkyrigError(f"{node_id} cannot take Skyrig's runtime: {answer['error']}", hint=_ADVICE)
        if "waiting" not in answer:
            return answer
        notify(f"another client is bringing Skyrig's runtime to {node_id}; waiting for it")
    said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    await process.wait_closed()
    if process.exit_status is None:
        raise asyncssh.ConnectionLost("its SSH server ended the session")
    raise SkyrigError(
        f"{node_id} cannot take Skyrig's runtime: {said[-1] if said else 'no reason given'}",
        hint="a node needs /bin/sh and Python 3.8 or newer as python3",
    )


_ADVICE = "mend that on the node, then run the same command again"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count / 1e3:.0f} kB"
