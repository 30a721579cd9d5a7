"""What an SSH client meets on a local node: the manners of stock sshd, on both levels."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from local_programs import LocalPrograms, bounded

from skyrig.fleet.local.files import wait_for

BIG = 40_000_000


def test_exit_codes_and_signals(programs: LocalPrograms, node: dict[str, Any]) -> None:
    assert programs.inside(node, "exit 7").exit_status == 7
    killed = programs.inside(node, "kill -TERM $$")
    assert killed.exit_signal is not None and killed.exit_signal[0] == "TERM"
    assert programs.inside(node, "no-such-program-here").exit_status == 127


def test_outputs_are_apart_and_input_ends(programs: LocalPrograms, node: dict[str, Any]) -> None:
    done = programs.inside(node, "cat; echo told >&2", input="asked")
    assert (done.stdout, done.stderr, done.exit_status) == ("asked", "told\n", 0)


def test_all_bytes_survive_in_both_directions(programs: LocalPrograms, node: dict[str, Any]) -> None:
    """Also with a reader that is slower than the writer, on either side."""
    sent = random.Random(7).randbytes(BIG)
    done = programs.inside(node, "tee >(sha256sum >&2) | (sleep 0.3; cat)", input=sent, encoding=None)
    assert isinstance(done.stdout, bytes) and isinstance(done.stderr, bytes)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(sent).digest()
    assert done.stderr.split()[0].decode() == hashlib.sha256(sent).hexdigest()


def test_input_of_any_size_reaches_a_late_reader_whole(programs: LocalPrograms, node: dict[str, Any]) -> None:
    """End of file comes right behind data that has waited for room in the pipe."""

    async def run() -> list[int]:
        async with programs.connect(node) as connection:
            sizes = range(100_000, 3_000_000, 97_003)
            done = await asyncio.gather(
                *(connection.run("sleep 0.2; wc -c", input=b"x" * size, encoding=None) for size in sizes)
            )
            return [int(one.stdout) - size for one, size in zip(done, sizes, strict=True)]

    assert set(bounded(run())) == {0}


def test_a_client_that_does_not_read_stops_the_writer(programs: LocalPrograms, node: dict[str, Any]) -> None:
    async def run() -> int:
        async with programs.connect(node) as connection:
            process = await connection.create_process("yes", encoding=None)
            await process.stdout.read(1)
            rss = f"/proc/{node['pid']}/statm"
            before = int(Path(rss).read_text().split()[1])
            await asyncio.sleep(0.7)
            after = int(Path(rss).read_text().split()[1])
            process.terminate()
            return (after - before) * os.sysconf("SC_PAGE_SIZE")

    assert bounded(run()) < 30_000_000


def test_signals_reach_the_group(programs: LocalPrograms, node: dict[str, Any]) -> None:
    async def run() -> asyncssh.SSHCompletedProcess:
        async with programs.connect(node) as connection:
            process = await connection.create_process(
                "trap 'echo got; exit 5' USR1; echo ready; sleep 60 >/dev/null 2>&1 & wait"
            )
            assert await process.stdout.readline() == "ready\n"
            process.send_signal("USR1")
            done: asyncssh.SSHCompletedProcess = await asyncio.wait_for(process.wait(), 20)
            return done

    done = bounded(run())
    assert "got" in str(done.stdout) and done.exit_status == 5


def test_terminal(programs: LocalPrograms, node: dict[str, Any]) -> None:
    async def run() -> str:
        async with programs.connect(node) as connection:
            process = await connection.create_process(term_type="xterm", term_size=(91, 33))
            process.stdin.write("stty size; echo $TERM:$0; command -v python; exit\n")
            done = await asyncio.wait_for(process.wait(), 20)
            return str(done.stdout)

    told = bounded(run())
    assert "33 91" in told and "xterm:-bash" in told and f"{node['folder']}/env/bin/python" in told


def test_environment_is_the_nodes_own(programs: LocalPrograms, node: dict[str, Any]) -> None:
    told = str(programs.inside(node, "env; pwd", env={"SMUGGLED": "1"}).stdout)
    values = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    home = f"{node['folder']}/home"
    assert values["HOME"] == home and told.splitlines()[-1] == home
    assert values["SKYRIG_NODE_ID"] == "n0" and values["SKYRIG_NODE_LOCK"] == f"{node['folder']}/alive.lock"
    assert not {"SMUGGLED", "PYTEST_CURRENT_TEST", "PYTEST_VERSION"} & set(values)
    runtime = str(programs.inside(node, "readlink ~/.skyrig/runtime").stdout).strip()
    assert Path(runtime, "bin", "python").exists()


def test_only_the_nodes_user_with_a_known_key(programs: LocalPrograms, node: dict[str, Any]) -> None:
    async def run(**more: Any) -> None:
        async with programs.connect(node, **more):
            pass

    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for more in ({"username": "somebody"}, {"client_keys": [stranger]}, {"password": "x", "client_keys": []}):
        with pytest.raises(asyncssh.PermissionDenied):
            bounded(run(**more))
    line = stranger.export_public_key().decode().strip()
    programs.inside(node, f"echo '{line}' >> ~/.ssh/authorized_keys", check=True)
    bounded(run(client_keys=[stranger]))


def test_files(programs: LocalPrograms, node: dict[str, Any], tmp_path: Path) -> None:
    content = random.Random(1).randbytes(300_000)
    (tmp_path / "here").write_bytes(content)

    async def run() -> None:
        async with programs.connect(node) as connection:
            async with connection.start_sftp_client() as sftp:
                await sftp.put(str(tmp_path / "here"), "by-sftp")
                await sftp.get("by-sftp", str(tmp_path / "back"))
            await asyncssh.scp(str(tmp_path / "here"), (connection, "by-scp"))
            await connection.run("cmp by-sftp by-scp && rm by-sftp by-scp", check=True)

    bounded(run())
    assert (tmp_path / "back").read_bytes() == content


def test_forwarding_to_ports_and_unix_sockets_of_the_node(programs: LocalPrograms, node: dict[str, Any]) -> None:
    serve = (
        "import socket,sys,os; s=socket.create_server(('127.0.0.1',0)); u=socket.socket(socket.AF_UNIX); "
        "u.bind('echo.sock'); u.listen(); print(s.getsockname()[1], os.path.abspath('echo.sock'), flush=True); "
        "[c.sendall(c.recv(9)) for one in (s, u) for c in [one.accept()[0]]]; os.unlink('echo.sock')"
    )

    async def run() -> None:
        async with programs.connect(node) as connection:
            process = await connection.create_process(f'python -c "{serve}"')
            port, path = (await process.stdout.readline()).split()
            for opened in (connection.open_connection("127.0.0.1", int(port)), connection.open_unix_connection(path)):
                reader, writer = await opened
                writer.write(b"echo")
                assert await reader.readexactly(4) == b"echo"
                writer.close()
            await process.wait(check=True)

    bounded(run())


def test_a_broken_connection_ends_nothing_that_is_detached(programs: LocalPrograms, node: dict[str, Any]) -> None:
    marker = Path(node["folder"], "home", "went-on")

    async def run() -> None:
        connection = await programs.connect(node)
        await connection.run(f"setsid sh -c 'sleep 0.5; echo yes > {marker}' </dev/null >/dev/null 2>&1 &", check=True)
        connection.abort()

    bounded(run())
    assert wait_for(lambda: marker.exists() or None)


def test_a_connection_that_breaks_while_a_command_starts_leaves_none(
    programs: LocalPrograms, node: dict[str, Any]
) -> None:
    """However far the start has come by then: one that never hears of it would go on for good."""

    async def run() -> None:
        for ticks in range(40):
            connection = await programs.connect(node)
            starting = asyncio.ensure_future(connection.create_process("exec -a talks-to-nobody yes"))
            await asyncio.sleep(ticks / 4000)
            connection.abort()
            await asyncio.gather(starting, return_exceptions=True)

    bounded(run())
    assert wait_for(lambda: "talks-to-nobody" not in str(programs.inside(node, "ps -eo args=").stdout) or None)


def test_many_sessions_at_once(programs: LocalPrograms, node: dict[str, Any]) -> None:
    async def run() -> list[int | None]:
        async with programs.connect(node) as connection:
            done = await asyncio.gather(*(connection.run(f"exit {n % 250}") for n in range(60)))
            return [one.exit_status for one in done]

    assert bounded(run()) == [n % 250 for n in range(60)]


def test_orphans_are_reaped(programs: LocalPrograms, two_nodes: list[dict[str, Any]]) -> None:
    if two_nodes[0]["level"] != "namespaces":
        pytest.skip("the host's process 1 reaps them on level plain")
    for _ in range(5):
        programs.inside(two_nodes[1], "(sleep 0.1 &) >/dev/null 2>&1 </dev/null", check=True)

    def all_gone() -> bool | None:
        return "sleep" not in str(programs.inside(two_nodes[1], "ps -eo comm=").stdout) or None

    assert wait_for(all_gone)


def test_clients_before_the_server_is_up_are_served(programs: LocalPrograms, stack_name: str, level: str) -> None:
    node = programs.start(stack_name, 0, level)
    with socket.create_connection(("127.0.0.1", node["port"]), timeout=20) as early:
        assert early.recv(7) == b"SSH-2.0"
