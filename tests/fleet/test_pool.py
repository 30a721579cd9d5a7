"""The pool: sessions handed on in turn, extra connections closed, servers that drop handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from fleet_servers import SSHD, Keys, Serve, Sshd, asyncssh_server, free_port

from skyrig.errors import Unreachable
from skyrig.fleet import pool as pool_module
from skyrig.fleet.fanout import run, run_each
from skyrig.fleet.pace import HANDSHAKES, PER_SERVER, Door
from skyrig.fleet.pool import SESSIONS, Pool
from skyrig.fleet.target import Target


@pytest.mark.skipif(SSHD is None, reason="no sshd on this machine (Debian: openssh-server)")
def test_a_server_that_drops_handshakes_is_met_slower(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An sshd that takes four handshakes at a time and drops all others: nothing fails, and it drops few of ours."""
    sshd = Sshd(keys, tmp_path)
    drops: list[Door] = []
    narrow = Door.dropped
    monkeypatch.setattr(Door, "dropped", lambda door: (drops.append(door), narrow(door)))

    async def scenario() -> None:
        async with Pool(keys.credentials) as pool:
            ends = await run_each(pool, [evolve(sshd.target, id=f"n{number}") for number in range(48)], "echo here")
            assert {getattr(end, "stdout", end) for end in ends.values()} == {b"here\n"}

    try:
        asyncio.run(asyncio.wait_for(scenario(), 60))
    finally:
        sshd.stop()
    assert 0 < len(drops) < 48


def test_a_door_narrows_and_widens() -> None:
    door = Door()
    for _ in range(10):
        door.dropped()
    assert door.width == 1
    for _ in range(100):
        door.went_well()
    assert door.width == PER_SERVER


def test_silent_servers_keep_no_turn(keys: Keys, tmp_path: Path) -> None:
    """Twice as many dead machines as there are turns, which take a connection and never speak: a living one waits for
    them no longer than it takes to see that they are silent."""

    async def scenario() -> float:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        dead = [await asyncio.start_server(silent, "127.0.0.1", 0) for _ in range(2 * HANDSHAKES)]
        ports = [server.sockets[0].getsockname()[1] for server in dead]
        async with asyncssh_server(keys, tmp_path) as target, Pool(keys.credentials, deadline_s=20) as pool:
            targets = [evolve(target, id=f"d{port}", port=port) for port in ports]
            waiting = asyncio.create_task(run_each(pool, targets, "true"))
            await asyncio.sleep(0.2)
            started = time.monotonic()
            assert (await run(pool, target, "echo alive")).stdout == b"alive\n"
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            for server in dead:
                server.close()
            return time.monotonic() - started

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) < 8


def test_extra_connections_are_closed_when_idle(serve: Serve, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one stays, and so does one that is used again in time."""
    monkeypatch.setattr(pool_module, "IDLE_S", 0.5)

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            async with contextlib.AsyncExitStack() as stack:
                held = [await stack.enter_async_context(pool.session(target)) for _ in range(2 * SESSIONS + 1)]
            first, *extra = dict.fromkeys(held)
            assert len(extra) == 2
            async with contextlib.AsyncExitStack() as stack:
                again = [await stack.enter_async_context(pool.session(target)) for _ in range(SESSIONS + 1)]
                assert again[-1] is extra[0]
                async with asyncio.timeout(10):
                    await extra[1].wait_closed()
                assert not extra[0].is_closed()
            async with asyncio.timeout(10):
                await extra[0].wait_closed()
            assert not first.is_closed()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_connection_that_comes_too_late_for_who_waited_is_used_by_the_next(
    serve: Serve, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is opened and forgotten: sessions came free while one was on its way, and the next burst uses that one."""
    opened: list[object] = []
    slowly = pool_module.connect

    async def connect(*given: Any, **how: Any) -> Any:
        connection = await slowly(*given, **how)
        opened.append(connection)
        return connection

    monkeypatch.setattr(pool_module, "connect", connect)

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(SESSIONS):
                    await stack.enter_async_context(pool.session(target))
                late = asyncio.create_task(run(pool, target, "true"))
                await asyncio.sleep(0)  # it waits, and a second connection is on its way
            await late
            async with asyncio.timeout(10):
                while len(opened) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            async with contextlib.AsyncExitStack() as stack:
                held = [await stack.enter_async_context(pool.session(target)) for _ in range(SESSIONS + 1)]
            assert list(dict.fromkeys(held)) == opened

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_sessions_are_handed_on_in_turn(keys: Keys, tmp_path: Path) -> None:
    """Whoever waits longest gets the next free one, while a further connection is still on its way."""

    async def scenario() -> None:
        async with asyncssh_server(keys, tmp_path) as target, Pool(keys.credentials) as pool:
            order: list[int] = []

            async def use(number: int) -> None:
                async with pool.session(target):
                    order.append(number)
                    await asyncio.sleep(0.01)

            await asyncio.gather(*(use(number) for number in range(5 * SESSIONS)))
            assert order == list(range(5 * SESSIONS))

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_who_waits_for_the_same_attempt_shares_its_end(keys: Keys) -> None:
    """Thirty sessions on a dead node fail together after one deadline, not one after the other."""

    async def scenario() -> None:
        async with Pool(keys.credentials, deadline_s=1) as pool:
            dead = keys.target("dead", free_port())
            started = time.monotonic()
            ends = await asyncio.gather(*(run(pool, dead, "true") for _ in range(30)), return_exceptions=True)
            assert {type(end) for end in ends} == {Unreachable}
            assert time.monotonic() - started < 4

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_one_that_no_longer_waits_takes_no_session(serve: Serve, keys: Keys) -> None:
    """Cancelled at any moment: every session is free again afterwards."""

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            for pause in (0, 0, 0.001, 0.01, 0.05):
                tasks = [asyncio.create_task(_hold(pool, target)) for _ in range(3 * SESSIONS)]
                await asyncio.sleep(pause)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            async with contextlib.AsyncExitStack() as stack:
                held = [await stack.enter_async_context(pool.session(target)) for _ in range(SESSIONS)]
                assert len(set(held)) == 1
            assert (await run(pool, target, "echo fine")).stdout == b"fine\n"

    asyncio.run(asyncio.wait_for(scenario(), 30))


async def _hold(pool: Pool, target: Target) -> None:
    async with pool.session(target):
        await asyncio.sleep(60)
