"""Connections: who is let in and who is not, and how long a node is waited for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import asyncssh
import pytest
from attrs import evolve
from fleet_servers import Keys, Serve, asyncssh_server, free_port, public

from skyrig.errors import BadInput, HostKeyMismatch, Unreachable
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.target import Target


def test_a_pinned_node_answers(serve: Serve, keys: Keys) -> None:
    async def scenario() -> None:
        async with serve() as target, await connect(target, keys.credentials) as connection:
            done = await connection.run("echo here", check=True)
            assert done.stdout == "here\n"

    asyncio.run(scenario())


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_another_host_key_is_refused_at_once(serve: Serve, keys: Keys, algorithm: str) -> None:
    """Also where the server has no key of the pinned kind at all, which breaks off earlier in the handshake."""

    async def scenario() -> None:
        async with serve() as target:
            wrong = evolve(target, host_key=public(asyncssh.generate_private_key(algorithm)))
            with pytest.raises(HostKeyMismatch, match="another host key"):
                await connect(wrong, keys.credentials)

    started = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - started < 3


def test_known_hosts_of_the_user_do_not_count(
    serve: Serve, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host key that the user's own files trust is refused all the same, and their ssh config is not read."""
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))

    async def scenario() -> None:
        async with serve() as target:
            (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{target.port} {target.host_key}\n")
            (tmp_path / ".ssh" / "config").write_text("Host *\n  StrictHostKeyChecking no\n  User nobody\n")
            with pytest.raises(HostKeyMismatch):
                await connect(evolve(target, host_key=public(keys.other)), keys.credentials)
            (await connect(target, keys.credentials)).abort()

    asyncio.run(scenario())


def test_a_refused_key_is_said_at_once(serve: Serve, keys: Keys) -> None:
    async def scenario() -> None:
        async with serve() as target:
            with pytest.raises(Unreachable, match=r"refuses user .* with the cluster's key") as caught:
                await connect(target, keys.stranger)
            assert caught.value.node_id == target.id

    started = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - started < 5


def test_a_node_that_starts_late_is_waited_for(keys: Keys, tmp_path: Path) -> None:
    async def scenario() -> None:
        port = free_port()
        waiting = asyncio.create_task(connect(keys.target("a", port), keys.credentials, deadline_s=20))
        await asyncio.sleep(0.7)
        assert not waiting.done()
        async with asyncssh_server(keys, tmp_path, port), await waiting as connection:
            assert not connection.is_closed()

    asyncio.run(scenario())


def test_a_closed_port_is_given_up_with_its_reason(keys: Keys) -> None:
    target = keys.target("n7", free_port())
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"node n7 at 127.0.0.1:\d+ .* connection refused .*tried for 1 s") as caught:
        asyncio.run(connect(target, keys.credentials, deadline_s=1))
    assert caught.value.node_id == "n7"
    assert caught.value.exit_code == 4
    assert 0.9 < time.monotonic() - started < 4


def test_a_silent_port_is_given_up(keys: Keys) -> None:
    """A server that accepts and says nothing, as a half-dead machine does."""

    async def scenario() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
                await connect(keys.target("n1", port), keys.credentials, timeout_s=0.3, deadline_s=1)

    asyncio.run(scenario())


def test_a_jump_host_is_passed_and_closed_again(serve: Serve, keys: Keys, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serve() as jump, asyncssh_server(keys, tmp_path) as behind:
            connection = await connect(evolve(behind, jump=jump), keys.credentials)
            async with connection:
                assert (await connection.run("echo $((6*7))", check=True)).stdout == "42\n"
            with pytest.raises(HostKeyMismatch):
                await connect(evolve(behind, jump=evolve(jump, host_key=public(keys.other))), keys.credentials)
            closed = evolve(behind, port=free_port(), jump=jump)
            with pytest.raises(Unreachable, match=f"through {jump.id}"):
                await connect(closed, keys.credentials, deadline_s=0.5)

    asyncio.run(scenario())


def test_keys_that_are_none(keys: Keys) -> None:
    target = keys.target("n0", 1)
    with pytest.raises(BadInput, match="SSH key cannot be read"):
        asyncio.run(connect(target, Credentials("no key")))
    with pytest.raises(BadInput, match="pinned host key cannot be read"):
        asyncio.run(connect(evolve(target, host_key="ssh-ed25519 nonsense"), keys.credentials))


def test_the_private_key_is_never_shown(keys: Keys) -> None:
    assert "PRIVATE" not in repr(keys.credentials)
    assert "PRIVATE" in keys.credentials.private_key


def test_the_package_alone_is_cheap_to_import() -> None:
    script = "import sys, skyrig.fleet, skyrig.fleet.target; sys.exit('asyncssh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_targets_name_their_place() -> None:
    jump = Target("n0", "head", 22, "u", "k")
    assert Target("n1", "10.0.0.2", 2222, "u", "k", jump).where == "node n1 at 10.0.0.2:2222 through n0"
