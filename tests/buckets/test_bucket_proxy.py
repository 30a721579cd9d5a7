"""The way of local nodes to buckets: plain http through the proxy of their network, under the host's own name."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bucket_user import KEYS, Rclone

from skyrig import places
from skyrig.fleet.local import proxy
from skyrig.storage.local import buckets, server

MB = 1 << 20


@pytest.fixture(scope="module")
def way() -> Iterator[tuple[str, int]]:
    """A proxy as the network's process runs it, on loopback: its address."""
    loop = asyncio.new_event_loop()
    serving = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=proxy.LIMIT))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield serving.sockets[0].getsockname()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    serving.close()
    loop.run_until_complete(serving.wait_closed())
    loop.close()


class Answers(BaseHTTPRequestHandler):
    """A server that answers as HTTP allows: 100 first, in chunks, with no body."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        length = int(self.headers["Content-Length"])
        count = sum(len(self.rfile.read(min(MB, length - at))) for at in range(0, length, MB))
        self._answer(200, str(count).encode())

    def do_GET(self) -> None:
        if self.path == "/unchanged":
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "12345")
        self.end_headers()

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """Its HOST:PORT as a node calls it."""
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"{proxy.THE_HOST}:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def asked(way: tuple[str, int], target: str, method: str, path: str, body: bytes = b"") -> tuple[int, str, bytes]:
    """Status, declared length and body of an answer through the proxy."""
    connection = http.client.HTTPConnection(*way, timeout=30)
    connection.request(method, f"http://{target}{path}", body=body, headers={"Host": target})
    answer = connection.getresponse()
    said = answer.status, answer.getheader("Content-Length", ""), answer.read()
    connection.close()
    return said


def test_every_kind_of_answer_comes_through(way: tuple[str, int], target: str) -> None:
    assert asked(way, target, "GET", "/") == (200, "", b"onetwo")
    assert asked(way, target, "HEAD", "/") == (200, "12345", b"")
    assert asked(way, target, "GET", "/unchanged") == (304, "", b"")
    assert asked(way, target, "PUT", "/", b"x" * (40 * MB)) == (200, "8", str(40 * MB).encode())
    nobody = asked(way, f"{proxy.THE_HOST}:1", "GET", "/")
    assert nobody[0] == 502 and proxy.THE_HOST.encode() in nobody[2]


def test_a_body_is_sent_only_after_the_server_asks_for_it(way: tuple[str, int], target: str) -> None:
    with socket.create_connection(way, timeout=10) as client:
        head = f"PUT http://{target}/ HTTP/1.1\r\nHost: {target}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head.encode())
        answers = client.makefile("rb")
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
        client.sendall(b"body")
        assert answers.read().endswith(b"\r\n\r\n4")


@pytest.mark.e2e
def test_rclone_reaches_a_bucket_by_the_hosts_name(
    home: Path, tmp_path: Path, way: tuple[str, int], rclone: Rclone
) -> None:
    started = server.ensure("one", KEYS)
    made = buckets.make(places.storage("one"), "far", KEYS)
    endpoint = f"http://{proxy.THE_HOST}:{started['port']}"
    through = {"http_proxy": f"http://{way[0]}:{way[1]}"}
    big = tmp_path / "big"
    big.write_bytes(bytes(range(256)) * (64 * MB // 256))
    rclone(endpoint, KEYS, "copyto", str(big), "remote:far/big", "--s3-no-check-bucket", env=through)
    assert (Path(made["folder"]) / "big").read_bytes() == big.read_bytes()
    rclone(endpoint, KEYS, "copyto", "remote:far/big", str(tmp_path / "back"), env=through)
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    assert rclone(endpoint, KEYS, "lsf", "remote:far", env=through) == "big\n"
