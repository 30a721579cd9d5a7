"""Open ports of a node as the host meets them: as if the server listened right there."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from ports_node import PORT, ServingNode, all_of

from skyrig.fleet.local import ports
from skyrig.fleet.local.files import wait_for

AT_ONCE = 300
ROUNDS = 3


def refused(serving: ServingNode, number: int) -> bool:
    """Whether a connection ends at once, by an error and with no byte."""
    try:
        with serving.connect(number) as connection:
            connection.settimeout(2)
            connection.recv(1)
    except (ConnectionResetError, ConnectionRefusedError):
        return True
    return False


def test_each_way_ends_by_itself(serving: ServingNode) -> None:
    blob = os.urandom(1 << 22)
    with serving.connect() as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(b"e" + blob), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        assert all_of(connection) == blob + b"|%d" % len(blob)
        sender.join()


def test_a_server_may_speak_before_its_client_has_ended(serving: ServingNode) -> None:
    with serving.connect() as connection:
        connection.sendall(b"g")
        assert connection.recv(100) == b"hello"
        connection.sendall(b"you")
        assert all_of(connection) == b" and you"


def test_a_slow_client_slows_the_server(serving: ServingNode) -> None:
    flooded = serving.home / "flooded"
    with serving.connect() as connection:
        connection.sendall(b"f")
        assert wait_for(lambda: flooded.exists() or None)
        assert 0 < int(flooded.read_text()) < 32 << 20


def test_a_broken_connection_does_not_look_like_a_whole_answer(serving: ServingNode) -> None:
    with serving.connect() as connection:
        connection.sendall(b"r")
        assert connection.recv(100) == b"half of"
        connection.sendall(b".")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_where_nobody_serves_connections_end_at_once(serving: ServingNode) -> None:
    before = {str(PORT): str(serving.number)}
    number = serving.open([str(PORT), "8001"], before)[8001]
    assert refused(serving, number)
    assert serving.open([str(PORT)]) == {PORT: serving.number}
    assert refused(serving, number)


def test_many_connections_leave_nothing(serving: ServingNode) -> None:
    before = serving.descriptors()

    async def one(number: int) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.number)
        writer.write(b"g" if number % 3 else b"e")
        if number % 3 == 1:
            writer.transport.abort()  # in the middle of it
            return True
        writer.write(b"you")
        writer.write_eof()
        told = await reader.read()
        writer.close()
        return told in (b"hello and you", b"you|3")

    async def all_at_once() -> list[bool]:
        return await asyncio.gather(*(one(number) for number in range(AT_ONCE)))

    for _ in range(ROUNDS):
        assert all(asyncio.run(all_at_once()))
    assert wait_for(lambda: True if serving.descriptors() <= before else None), serving.descriptors()


def test_a_taken_number_is_left_alone_and_the_own_one_kept(serving: ServingNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        there = serving.open([str(PORT), str(taken)])
        assert there[PORT] == serving.number and there[taken] != taken
        again = serving.open([str(taken)])
        assert again == {taken: there[taken]}
    before = {str(port): str(number) for port, number in there.items()}
    assert serving.open([str(PORT), str(taken)], before) == there
    assert ports.endpoints(serving.programs.stack(serving.stack)) == {
        port: f"127.0.0.1:{number}" for port, number in there.items()
    }
    assert serving.open([str(PORT)]) == {PORT: serving.number}


def test_a_port_outlives_its_node_and_is_only_the_hosts_own(serving: ServingNode) -> None:
    folder = {"folder": serving.node["folder"], "incarnation": serving.node["incarnation"]}
    serving.programs.run("halt", folder)
    assert refused(serving, serving.number)
    serving.node = serving.programs.run("resume", folder)
    serving.serve()
    with serving.connect() as connection:
        connection.sendall(b"g")
        assert connection.recv(100) == b"hello"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{serving.number:04X}")}
    assert listening == {f"0100007F:{serving.number:04X}"}


def test_a_killed_network_closes_its_ports_and_says_so(serving: ServingNode) -> None:
    folder = serving.programs.stack(serving.stack)
    gate = serving.gate
    os.kill(gate, signal.SIGKILL)
    assert wait_for(lambda: None if ports.endpoints(folder) else True)
    assert refused(serving, serving.number)
    done = serving.programs.call("ports-open", serving.request(["8000"]))
    assert done.returncode == 1 and "is gone" in done.stdout
    serving.programs.run("network-start", {"folder": str(folder), "level": "namespaces"})
    assert serving.open(["8000"], {"8000": str(serving.number)}) == {8000: serving.number}
