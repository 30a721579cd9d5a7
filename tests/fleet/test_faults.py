"""Nodes that freeze, are cut off, dawdle or gush in mid-command: the others go on, and each end has a reason."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from attrs import evolve
from fleet_servers import SSHD, Keys, Serve, Sshd, descendants
from fleet_trees import Bench, file
from test_spread import PYTHON

from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet import connection as connection_module
from skyrig.fleet import spread as spread_module
from skyrig.fleet.fanout import CommandLost, CommandTimedOut, Result, run, run_each
from skyrig.fleet.place import Place
from skyrig.fleet.pool import Pool
from skyrig.fleet.receiver import Changes
from skyrig.fleet.spread import Load, Means, spread
from skyrig.fleet.target import Target

needs_sshd = pytest.mark.skipif(SSHD is None, reason="no sshd on this machine (Debian: openssh-server)")


@pytest.fixture
def own_sshd(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A server of this test's own that may be frozen; keepalives come every half second, to find out sooner."""
    monkeypatch.setattr(connection_module, "KEEPALIVE_S", 0.5)
    server = Sshd(keys, tmp_path / "own")
    yield server
    server.stop()


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """These processes, frozen."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def cut_off(port: int, after: asyncio.Event) -> AsyncIterator[int]:
    """A way to `port` whose connections are cut when `after` is set."""

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        pumps = [asyncio.create_task(carry(reader, far_writer)), asyncio.create_task(carry(far_reader, writer))]
        await after.wait()
        for pump in pumps:
            pump.cancel()
        writer.transport.abort()
        far_writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@needs_sshd
def test_a_frozen_server_is_lost_and_nobody_waits_for_it(own_sshd: Sshd, keys: Keys, serve: Serve) -> None:
    """SIGSTOP of a server with all its sessions in mid-command: the other nodes have ended long before it is given up,
    and a timeout is kept though nobody answers."""

    async def scenario() -> None:
        async with serve() as other, Pool(keys.credentials) as pool:
            begun: dict[str, float] = {}

            def on_line(node: str, line: bytes) -> None:
                begun[node + line.decode().strip()] = time.monotonic()

            frozen = own_sshd.target
            targets = [frozen, *(evolve(other, id=f"n{number}") for number in range(3))]
            both = asyncio.create_task(run_each(pool, targets, "echo begun; sleep 1; echo over", on_line=on_line))
            limited = asyncio.create_task(run(pool, frozen, "echo up; sleep 60", timeout_s=1.5))
            while f"{frozen.id}begun" not in begun:  # noqa: ASYNC110 - it is another process that speaks
                await asyncio.sleep(0.01)
            with stopped([own_sshd._process.pid, *descendants(own_sshd._process.pid)]):
                started = time.monotonic()
                with pytest.raises((CommandTimedOut, CommandLost)):
                    await limited
                assert time.monotonic() - started < 4
                ends = await both
                assert time.monotonic() - started < 8
            for target in targets[1:]:
                assert ends[target.id] == Result(target.id, 0, b"begun\nover\n", b"")
            lost = ends[frozen.id]
            assert isinstance(lost, CommandLost)
            assert "keepalive" in str(lost).lower()
            assert (lost.stdout, lost.node_id) == (b"begun\n", frozen.id)

    asyncio.run(asyncio.wait_for(scenario(), 40))


def test_a_cut_connection_ends_that_command_alone(serve: Serve, keys: Keys) -> None:
    async def scenario() -> None:
        cut = asyncio.Event()
        async with serve() as target, cut_off(target.port, cut) as port, Pool(keys.credentials) as pool:
            behind = evolve(target, id="behind", port=port)

            def on_line(node: str, line: bytes) -> None:
                if node == "behind":
                    cut.set()

            ends = await run_each(pool, [behind, target], "echo begun; sleep 0.5; echo over", on_line=on_line)
            assert ends[target.id] == Result(target.id, 0, b"begun\nover\n", b"")
            lost = ends["behind"]
            assert isinstance(lost, CommandLost)
            assert lost.stdout == b"begun\n"
            assert str(lost).startswith("lost node behind while a command ran there: ")
            cut.clear()
            assert (await run(pool, behind, "echo again")).stdout == b"again\n"
            cut.set()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_one_that_dawdles_and_one_that_gushes_hold_up_nobody(serve: Serve, keys: Keys) -> None:
    """One command leaves its input lying with the pipe full, one prints 60 MB; both share a connection with others."""

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            await run(pool, target, "true")
            data = os.urandom(8_000_000)
            dawdling = asyncio.create_task(run(pool, target, "sleep 3; wc -c", stdin=data))
            gushing = asyncio.create_task(run(pool, target, "head -c 60000000 /dev/zero"))
            longest = 0.0
            while not gushing.done():
                started = time.monotonic()
                assert (await run(pool, target, "echo quick")).stdout == b"quick\n"
                longest = max(longest, time.monotonic() - started)
            assert longest < 2
            assert len((await gushing).stdout) == 60_000_000
            with pytest.raises(CommandTimedOut, match=r"ran longer than 0\.5 s"):
                await run(pool, target, "sleep 60", stdin=data, timeout_s=0.5)
            assert int((await dawdling).stdout) == len(data)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def spread_to(pool: Pool, target: Target, home: Path, bench: Bench, size: int) -> asyncio.Task[Changes | SkyrigError]:
    """A spread of `size` bytes in ten files to `home`, under way."""
    manifest = bench.manifest({f"f{number}": file(os.urandom(size // 10)) for number in range(10)})
    loads, means = [Load(manifest, Place(f"{home}/workdir", f"{home}/state"))], Means(f"{home}/incoming")

    async def one() -> Changes | SkyrigError:
        return (await spread(pool, [target], bench.store, loads, python=PYTHON, means=means))[target.id]

    return asyncio.create_task(one())


async def receivers(home: Path) -> list[int]:
    """Processes of the far end below this test's own, once they have begun to write below `home`."""
    while not any((home / "incoming").glob("*/*")):  # noqa: ASYNC110 - it is another process that writes
        await asyncio.sleep(0.002)
    pids = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if b"m.main(p)" in Path(f"/proc/{pid}/cmdline").read_bytes():
                pids.append(pid)
    return pids


def test_a_receiver_that_freezes_is_given_up(
    serve: Serve, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server still answers keepalives: only the lack of any move shows it. Run again, only the rest is sent."""
    monkeypatch.setattr(spread_module, "STALL_S", 1.0)

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            bench = Bench(tmp_path)
            home = tmp_path / "node"
            task = spread_to(pool, target, home, bench, 60_000_000)
            pids = await receivers(home)
            assert pids
            with stopped(pids):
                end = await task
            assert isinstance(end, NodeLost), end
            assert "did not move for 1 s" in str(end)

    asyncio.run(asyncio.wait_for(scenario(), 90))


def test_killed_in_mid_sync_and_run_again_only_the_rest_is_sent(
    serve: Serve, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            bench, home = Bench(tmp_path), tmp_path / "node"
            manifest = bench.manifest({f"f{number}": file(os.urandom(3_000_000)) for number in range(10)})
            loads, means = [Load(manifest, Place(f"{home}/workdir", f"{home}/state"))], Means(f"{home}/incoming")
            sent: list[str] = []
            whole = spread_module.stored_frames

            async def once() -> Changes | SkyrigError:
                ends = await spread(pool, [target], bench.store, loads, python=PYTHON, means=means)
                return ends[target.id]

            task = asyncio.create_task(once())
            while len(list((home / "incoming").glob("??/" + "?" * 64))) < 3:  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.001)
            for pid in await receivers(home):
                os.kill(pid, signal.SIGKILL)
            assert isinstance(await task, SkyrigError)
            there = {path.name for path in (home / "incoming").glob("??/" + "?" * 64)}
            monkeypatch.setattr(
                spread_module, "stored_frames", lambda store, shas, meter: (sent.extend(shas), whole(store, shas))[1]
            )
            assert await once() == Changes(10, 0, 0)
            assert set(sent) == set(manifest.blobs()) - there
            assert len(there) >= 3

    asyncio.run(asyncio.wait_for(scenario(), 40))
