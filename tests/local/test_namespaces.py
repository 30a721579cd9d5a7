"""Level `namespaces`: a node behaves as a machine of its own."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_programs import LocalPrograms

GATE = "10.31.0.1"

pytestmark = pytest.mark.parametrize("level", ["namespaces"], indirect=True)


@pytest.fixture
def outside() -> Iterator[int]:
    """An HTTP server on the host's loopback; its port."""

    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"hello {self.path}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_absolute_paths_are_the_nodes_own(programs: LocalPrograms, two_nodes: list[dict[str, Any]]) -> None:
    name = two_nodes[0]["alias"]
    folders = ["/tmp", "/var/tmp", "/usr", "/etc", "/opt", "/dev/shm"]
    places = [f"/{name}/x", *(f"{folder}/{name}" for folder in folders)]
    made = f"mkdir /{name} && touch {' '.join(places)}"
    programs.inside(two_nodes[0], made, check=True)
    assert [path for path in places if Path(path).exists()] == []
    seen = programs.inside(two_nodes[1], f"ls -d {' '.join(places)} 2>/dev/null")
    assert seen.stdout == ""
    assert str(programs.inside(two_nodes[0], f"ls -d {' '.join(places)} | wc -l").stdout).strip() == str(len(places))


def test_own_processes_and_name(programs: LocalPrograms, node: dict[str, Any]) -> None:
    told = str(
        programs.inside(node, "hostname; cat /proc/1/cmdline | tr '\\0' ' '; echo; ps -e | wc -l").stdout
    ).splitlines()
    assert told[0] == node["alias"] and "skyrig.fleet.local.server" in told[1] and int(told[2]) < 12


def test_the_user_is_at_home_in_the_node(programs: LocalPrograms, node: dict[str, Any]) -> None:
    told = str(programs.inside(node, "env -u HOME bash -c 'echo ~'").stdout).strip()
    assert told == f"{node['folder']}/home"


def test_nodes_reach_each_other_by_address_and_name(programs: LocalPrograms, two_nodes: list[dict[str, Any]]) -> None:
    for name in (two_nodes[1]["address"], two_nodes[1]["alias"], "n1"):
        look = f"import socket; print(socket.create_connection(('{name}', 22), 5).recv(7).decode())"
        assert programs.inside(two_nodes[0], f'python -c "{look}"', check=True).stdout == "SSH-2.0\n"


def test_fixed_ports_do_not_collide(programs: LocalPrograms, two_nodes: list[dict[str, Any]]) -> None:
    listen = "import socket; socket.create_server(('0.0.0.0', 80)); print('listening')"
    for node in two_nodes:
        assert programs.inside(node, f'python -c "{listen}"').stdout == "listening\n"


@pytest.mark.parametrize(
    "question",
    [
        "GET http://127.0.0.1:{port}/a?b HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
        "CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\n",
    ],
)
def test_the_way_out_is_the_proxy(programs: LocalPrograms, node: dict[str, Any], outside: int, question: str) -> None:
    ask = question.format(port=outside)
    code = (
        f"import socket; s = socket.create_connection(('{GATE}', 3128), 10); f = s.makefile('rwb'); "
        f"f.write(b'{ask}'); f.flush(); print(f.readline().decode().strip()); "
        "[None for line in iter(f.readline, b'\\r\\n')]; "
        "s.sendall(b'GET /a?b HTTP/1.0\\r\\n\\r\\n') if b'CONNECT' in b'"
        + ask[:7]
        + "' else None; print(f.read().decode()[-10:])"
    )
    told = str(programs.inside(node, "python -", input=code, check=True).stdout)
    assert " 200 " in told.splitlines()[0] and told.endswith("hello /a?b\n"[-11:])


def test_there_is_no_other_way_out(programs: LocalPrograms, node: dict[str, Any], outside: int) -> None:
    look = f"import socket; socket.create_connection(('127.0.0.1', {outside}), 2)"
    assert programs.inside(node, f'python -c "{look}"').exit_status == 1
    told = str(programs.inside(node, "env").stdout)
    assert f"https_proxy=http://{GATE}:3128" in told and "NO_PROXY=" in told


def test_a_lost_network_is_seen(programs: LocalPrograms, stack_name: str, level: str) -> None:
    programs.start(stack_name, 0, level)
    folder = {"folder": str(programs.stack(stack_name))}
    first = programs.run("network-check", folder)
    os.kill(first["pid"], 9)
    again = programs.run("network-start", {**folder, "level": level})
    assert again["incarnation"] != first["incarnation"]
