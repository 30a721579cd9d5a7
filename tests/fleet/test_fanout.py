"""Commands on nodes: exit codes, streams, many sessions, and every way in which they can break."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import evolve
from fleet_servers import SSHD, Keys, Serve, Sshd, asyncssh_server, free_port

from skyrig.errors import NodeLost, Unreachable
from skyrig.fleet.fanout import CommandLost, CommandTimedOut, Result, run, run_all
from skyrig.fleet.pace import PER_SERVER
from skyrig.fleet.pool import SESSIONS, Pool
from skyrig.fleet.target import Target


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -9 $$", 137),
        ("no-such-thing", 127),
    ],
)
def test_exit_codes_and_signals(serve: Serve, keys: Keys, command: str, code: int) -> None:
    async def scenario() -> Result:
        async with serve() as target, Pool(keys.credentials) as pool:
            return await run(pool, target, command)

    assert asyncio.run(scenario()).code == code


def test_streams_are_kept_apart_byte_for_byte(serve: Serve, keys: Keys) -> None:
    """Megabytes of any bytes in, the same out, while as many go to the other stream."""
    data = os.urandom(3_000_001) + b"\r\n\0\xff\n"

    async def scenario() -> Result:
        async with serve() as target, Pool(keys.credentials) as pool:
            return await run(pool, target, "tee /dev/stderr; printf end >&2", stdin=data)

    done = asyncio.run(scenario())
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert done.stderr == data + b"end"
    assert "end" not in repr(done)


def test_no_input_is_an_empty_one_and_unread_input_is_no_error(serve: Serve, keys: Keys) -> None:
    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            assert (await run(pool, target, "cat; echo over")).stdout == b"over\n"
            assert (await run(pool, target, "exit 3", stdin=b"x" * 5_000_000)).code == 3

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_more_sessions_than_one_connection_takes(serve: Serve, keys: Keys) -> None:
    """30 at once; sshd refuses the 11th on one connection."""

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            results = await asyncio.gather(*(run(pool, target, f"sleep 0.3; echo {n}") for n in range(30)))
            assert [int(done.stdout) for done in results] == list(range(30))
            async with contextlib.AsyncExitStack() as stack:
                held = [await stack.enter_async_context(pool.session(target)) for _ in range(2 * SESSIONS + 1)]
                assert [held.count(link) for link in dict.fromkeys(held)] == [SESSIONS, SESSIONS, 1]
                assert await pool.connection(target) in held

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize("refusals", [1, 3, 4])
def test_a_session_that_is_refused_for_a_moment_is_had_after_it(keys: Keys, tmp_path: Path, refusals: int) -> None:
    """As sshd does while it still counts others that have ended; one that goes on refusing is said to."""
    left = [refusals]

    def refused() -> bool:
        left[0] -= 1
        return left[0] >= 0

    async def scenario() -> None:
        async with asyncssh_server(keys, tmp_path, refused=refused) as target, Pool(keys.credentials) as pool:
            if refusals < 4:
                assert (await run(pool, target, "echo had")).stdout == b"had\n"
            else:
                with pytest.raises(Unreachable, match="opened no session: open failed"):
                    await run(pool, target, "echo had")

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_timeout_keeps_what_came_before(serve: Serve, keys: Keys) -> None:
    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            with pytest.raises(CommandTimedOut, match=r"longer than 0\.5 s") as caught:
                await run(pool, target, "echo out; echo err >&2; exec sleep 60", timeout_s=0.5)
            assert (caught.value.stdout, caught.value.stderr) == (b"out\n", b"err\n")
            assert caught.value.target_id == target.id
            assert (await run(pool, target, "echo fine")).stdout == b"fine\n"

    asyncio.run(asyncio.wait_for(scenario(), 20))


@pytest.mark.skipif(SSHD is None, reason="no sshd on this machine (Debian: openssh-server)")
def test_a_killed_server_is_a_lost_node_with_a_reason(keys: Keys, tmp_path: Path) -> None:
    """OpenSSH and all its sessions killed in the middle of a command; once it is back, the pool connects again."""
    sshd = Sshd(keys, tmp_path)

    async def scenario() -> None:
        async with Pool(keys.credentials, deadline_s=10) as pool:
            seen = asyncio.Event()
            lines: list[bytes] = []

            def on_line(_: str, line: bytes) -> None:
                lines.append(line)
                seen.set()

            task = asyncio.create_task(run_all(pool, [sshd.target], "echo begun; sleep 60", on_line=on_line))
            await seen.wait()
            sshd.stop()
            with pytest.raises(CommandLost, match="lost node o while a command ran there: ") as caught:
                await asyncio.wait_for(task, 5)
            assert caught.value.stdout == b"begun\n"
            assert (caught.value.node_id, caught.value.exit_code) == ("o", 4)
            with pytest.raises(Unreachable, match="connection refused"):
                async with Pool(keys.credentials, deadline_s=0.3) as hasty:
                    await run(hasty, sshd.target, "true")
            assert sshd.start()
            assert (await run(pool, sshd.target, "echo back")).stdout == b"back\n"

    try:
        asyncio.run(asyncio.wait_for(scenario(), 30))
    finally:
        sshd.stop()


def test_a_dropped_connection_is_a_lost_node(serve: Serve, keys: Keys) -> None:
    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            task = asyncio.create_task(run(pool, target, "sleep 60"))
            await run(pool, target, "true")
            await pool.drop(target.id)
            with pytest.raises(NodeLost):
                await asyncio.wait_for(task, 5)
            assert (await run(pool, target, "echo again")).stdout == b"again\n"

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_frozen_network_is_noticed(keys: Keys, tmp_path: Path) -> None:
    """Bytes stop flowing and nobody says so: keepalives find out within about 12 seconds."""

    async def scenario() -> float:
        async with asyncssh_server(keys, tmp_path) as target, Pool(keys.credentials) as pool:
            frozen = asyncio.Event()
            server = await asyncio.start_server(lambda r, w: relay(r, w, target.port, frozen), "127.0.0.1", 0)
            behind = evolve(target, port=server.sockets[0].getsockname()[1])
            task = asyncio.create_task(run(pool, behind, "echo up; sleep 60"))
            await asyncio.sleep(0.5)
            frozen.set()
            started = time.monotonic()
            with pytest.raises(CommandLost, match="keepalive"):
                await asyncio.wait_for(task, 20)
            server.close()
            return time.monotonic() - started

    assert 3 < asyncio.run(scenario()) < 16


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, frozen: asyncio.Event) -> None:
    """Pass bytes both ways to `port` until `frozen`; then read nothing and say nothing."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while (data := await source.read(1 << 16)) and not frozen.is_set():
            sink.write(data)

    pumps = [asyncio.create_task(pump(reader, far_writer)), asyncio.create_task(pump(far_reader, writer))]
    try:
        await frozen.wait()
        await asyncio.sleep(30)
    finally:
        for task in pumps:
            task.cancel()
        writer.close()
        far_writer.close()


def test_all_nodes_at_once_with_their_lines(serve: Serve, keys: Keys) -> None:
    """Lines come whole, in order, under the node that said them, while the others still run."""

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            targets = [evolve(target, id=f"n{number}") for number in range(6)]
            lines: dict[str, list[bytes]] = defaultdict(list)
            started = time.monotonic()
            results = await run_all(
                pool,
                targets,
                'read name; echo "one $name"; sleep 0.5; printf "a\\377\\n\\nlast"',
                stdin=b"input\n",
                on_line=lambda node, line: lines[node].append(line),
            )
            assert time.monotonic() - started < 4
            assert list(results) == [each.id for each in targets]
            for each in targets:
                assert lines[each.id] == [b"one input\n", b"a\xff\n", b"\n", b"last"]
                assert results[each.id] == Result(each.id, 0, b"one input\na\xff\n\nlast", b"")

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_line_without_end_is_handed_on_in_pieces(serve: Serve, keys: Keys) -> None:
    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            pieces: list[bytes] = []
            await run_all(
                pool,
                [target],
                "head -c 200000 /dev/zero | tr '\\0' x",
                on_line=lambda _, line: pieces.append(line),
            )
            assert b"".join(pieces) == b"x" * 200_000
            assert [len(piece) for piece in pieces] == [65536, 65536, 65536, 200_000 - 3 * 65536]

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_the_first_error_ends_the_others(serve: Serve, keys: Keys) -> None:
    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials, deadline_s=0.5) as pool:
            dead = evolve(target, id="dead", port=free_port())
            with pytest.raises(Unreachable) as caught:
                await run_all(pool, [target, dead], "sleep 60")
            assert caught.value.node_id == "dead"

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_many_dead_nodes_do_not_hold_up_a_living_one(keys: Keys, tmp_path: Path) -> None:
    """Handshakes are paced, pauses between tries are not: 40 dead nodes take no turn from the living."""

    async def scenario(ports: list[int]) -> None:
        async with asyncssh_server(keys, tmp_path) as target, Pool(keys.credentials, deadline_s=3) as pool:
            dead = [asyncio.create_task(_code(pool, evolve(target, id=f"d{port}", port=port))) for port in ports]
            await asyncio.sleep(0.1)
            started = time.monotonic()
            assert (await run(pool, target, "echo alive")).stdout == b"alive\n"
            assert time.monotonic() - started < 2
            assert await asyncio.gather(*dead) == [4] * 40

    with ExitStack() as stack:  # bound and deaf: a free port might be another test's server by then
        held = [stack.enter_context(socket.socket()) for _ in range(40)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        asyncio.run(asyncio.wait_for(scenario([each.getsockname()[1] for each in held]), 30))


async def _code(pool: Pool, target: Target) -> int:
    try:
        return (await run(pool, target, "true")).code
    except NodeLost as error:
        return error.exit_code


def test_handshakes_are_paced(keys: Keys) -> None:
    """40 nodes behind one address that takes a connection and says nothing: few are tried there at a time."""

    async def scenario() -> int:
        now = most = 0

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await reader.read()
            now -= 1
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        target = keys.target("n", server.sockets[0].getsockname()[1])
        async with server, Pool(keys.credentials, deadline_s=0.5) as pool:
            ends = await asyncio.gather(*(_code(pool, evolve(target, id=f"n{number}")) for number in range(40)))
            assert ends == [4] * 40
        return most

    # a connection that was given up may be seen for a moment beside the one that follows it
    assert PER_SERVER <= asyncio.run(asyncio.wait_for(scenario(), 30)) <= PER_SERVER + 4


def test_a_node_that_moved_is_reached_at_its_new_place(keys: Keys, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pool(keys.credentials, deadline_s=2) as pool, asyncssh_server(keys, tmp_path) as first:
            old = await pool.connection(first)
            async with asyncssh_server(keys, tmp_path) as second:
                assert (await run(pool, second, "echo moved")).stdout == b"moved\n"
                assert old.is_closed()

    asyncio.run(asyncio.wait_for(scenario(), 20))
