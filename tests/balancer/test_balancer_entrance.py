"""What the endpoint lets in: keys, sizes, rates, TLS; and what it passes on as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import time
from pathlib import Path

import pytest
from attrs import evolve
from balancer_lab import Replica, Reply, asked, balancer, free_port, frontage

from skyrig.serve.spec import Tls

pytestmark = pytest.mark.usefixtures("haproxy")


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def code(reply: Reply) -> tuple[int, str]:
    """Status, and the code of an error as OpenAI's API words it."""
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json["error"]) == {"message", "type", "param", "code"}
    return reply.status, reply.json["error"]["code"]


def test_keys_sizes_and_rates(two: list[Replica], tmp_path: Path) -> None:
    port = free_port()
    made = frontage(port, two, keys=(digest("k1"), digest("k 2")), max_body=20_000)

    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            await it.be(made)
            await keys()
            await sizes()
            await it.be(evolve(made, entrance=evolve(made.entrance, keys=(digest("k3"),), max_body=500)))
            assert code(await asked(port, headers={"Authorization": "Bearer k1"})) == (401, "invalid_api_key")
            known = {"Authorization": "Bearer k3"}
            assert (await asked(port, headers=known)).status == 200
            assert (await asked(port, body=b"x" * 500, headers=known)).status == 200
            assert (await asked(port, body=iter([b"x" * 500]), headers=known)).status == 200
            assert code(await asked(port, body=b"x" * 501, headers=known)) == (413, "request_too_large")
            assert code(await asked(port, body=iter([b"x" * 501]), headers=known)) == (413, "request_too_large")
            await it.be(frontage(port, two, rate=4.0))
            replies = await asyncio.gather(*(asked(port) for _ in range(15)))
            refused = [reply for reply in replies if reply.status != 200]
            assert 2 <= len(refused) <= 3  # 12 in 3 seconds, more or less what is under way at once
            assert {(*code(reply), reply.headers["retry-after"]) for reply in refused} == {
                (429, "rate_limit_exceeded", "1")
            }

    async def keys() -> None:
        refused = [{}, {"Authorization": "Bearer k3"}, {"Authorization": "Basic k1"}, {"Authorization": "k1"}]
        refused += [{"x-api-key": "k"}, {"Authorization": digest("k1")}, {"Authorization": f"Bearer {digest('k1')}"}]
        for headers in refused:
            reply = await asked(port, headers=headers)
            assert code(reply) == (401, "invalid_api_key") and reply.headers["www-authenticate"] == "Bearer"
        for headers in ({"Authorization": "Bearer k1"}, {"authorization": "bearer k1"}, {"X-API-Key": "k 2"}):
            assert (await asked(port, headers=headers)).status == 200

    async def sizes() -> None:
        known = {"x-api-key": "k1"}
        assert (await asked(port, body=b"x" * 20_000, headers=known)).json["read"] == 20_000
        assert code(await asked(port, body=b"x" * 20_001, headers=known)) == (413, "request_too_large")
        pieces = [b"x" * 4000, b"x" * 4000]  # no length is said
        assert (await asked(port, body=iter(pieces), headers=known)).json["read"] == 8000
        assert code(await asked(port, body=iter([*pieces, b"x" * 4000]), headers=known)) == (411, "length_required")

    asyncio.run(scenario())


def test_keys_lie_in_a_file_for_us_alone_as_digests(two: list[Replica], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            await it.be(frontage(free_port(), two, keys=(digest("old"),)))
            await it.be(frontage(free_port(), two, keys=(digest("new"),)))
            files = {path.name: path for path in (tmp_path / "b").iterdir() if path.is_file()}
            (keys,) = [path for name, path in files.items() if name.startswith("keys-")]
            assert keys.read_text() == digest("new") + "\n"
            assert {path.stat().st_mode & 0o077 for path in files.values()} == {0}
            assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700

    asyncio.run(scenario())


def test_tls_by_file_with_http_2_and_a_new_certificate(two: list[Replica], pem: str, tmp_path: Path) -> None:
    port = free_port()
    made = evolve(frontage(port, two, tls=Tls.FILE), pem=pem)

    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            await it.be(made)
            reply = await asked(port, "/headers", tls=True)
            assert reply.json["headers"]["x-forwarded-proto"] == "https"
            assert reply.json["headers"]["x-forwarded-for"] == "127.0.0.1"
            context = ssl._create_unverified_context()
            context.set_alpn_protocols(["h2", "http/1.1"])
            with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as secret:
                assert secret.selected_alpn_protocol() == "h2" and secret.version() == "TLSv1.3"
            with pytest.raises(OSError):
                await asked(port)  # plain HTTP
            (cert,) = (tmp_path / "b").glob("cert-*")
            assert cert.stat().st_mode & 0o777 == 0o600
            await it.be(evolve(made, pem=pem + "\n"))
            assert (await asked(port, tls=True)).status == 200
            assert len(list((tmp_path / "b").glob("cert-*"))) == 1 and not cert.exists()

    asyncio.run(scenario())


def test_before_the_certificate_acme_is_answered_and_the_endpoint_is_closed(
    two: list[Replica], pem: str, tmp_path: Path
) -> None:
    port, http_port = free_port(), free_port()
    made = evolve(frontage(port, two[1:], tls=Tls.ACME), challenge=f"127.0.0.1:{two[0].port}", http_port=http_port)
    path = "/.well-known/acme-challenge/token"

    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            await it.be(made)
            reply = await asked(http_port, path)
            assert (reply.json["name"], reply.json["path"]) == ("r1", path)
            with pytest.raises(OSError):
                await asked(port, tls=True)
            await it.be(evolve(made, pem=pem))
            assert (await asked(port, tls=True)).json["name"] == "r2"
            reply = await asked(http_port, "/a?b=c", headers={"Host": f"x.example:{http_port}"})
            assert (reply.status, reply.headers["location"]) == (308, f"https://x.example:{port}/a?b=c")
            assert (await asked(http_port, path)).status == 200

    asyncio.run(scenario())


def test_requests_wait_a_little_for_a_replica_and_are_told_when_none_comes(two: list[Replica], tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            await it.be(frontage(port, []))
            began = time.monotonic()
            reply = await asked(port)
            assert code(reply) == (503, "no_replica") and 2 < time.monotonic() - began < 10
            assert reply.headers["retry-after"] == "5"
            waiting = [asyncio.create_task(asked(port)) for _ in range(10)]
            while (await it.measure()).total.in_flight < 10:
                assert not any(task.done() for task in waiting)
            await it.be(frontage(port, two))
            assert {(await task).status for task in waiting} == {200}

    asyncio.run(scenario())


def test_streams_come_as_they_are_sent(two: list[Replica], tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            await it.be(frontage(port, two, stream_timeout_s=5))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /stream?ms=200 HTTP/1.1\r\nHost: x\r\n\r\n")
            late = []
            while len(late) < 5:
                line = await reader.readline()
                if line.startswith(b"data:"):
                    late.append(time.time() - float(line.split()[2]))
            assert max(late) < 0.15, late
            writer.close()
            await it.be(frontage(port, two, stream_timeout_s=0.3))
            assert code(await asked(port, "/?ms=2000")) == (504, "gateway_timeout")
            assert (await asked(port, "/?ms=50")).status == 200

    asyncio.run(scenario())


def test_a_websocket_passes(tmp_path: Path) -> None:
    """What the two ends say after the upgrade goes through in both directions, also after a pause of more than
    stream_timeout_s."""
    port = free_port()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            assert b"pgrade" in await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
            )
            while True:
                writer.write((await reader.readuntil(b"!")).upper())
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server, balancer(tmp_path / "b") as it:
            from skyrig.serve.balancer.frontage import Server

            one = Server("r1", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            await it.be(frontage(port, [one], stream_timeout_s=0.5))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            assert b"101" in await reader.readuntil(b"\r\n\r\n")
            for pause in (0.0, 1.0):
                await asyncio.sleep(pause)
                writer.write(b"hello!")
                assert await reader.readexactly(6) == b"HELLO!"
            writer.close()

    asyncio.run(scenario())


def test_paths_of_openais_api_work_with_and_without_v1(two: list[Replica], tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            await it.be(frontage(port, two, openai=True))
            for given, there in (
                ("/v1/chat/completions", "/v1/chat/completions"),
                ("/chat/completions", "/v1/chat/completions"),
                ("/models", "/v1/models"),
                ("/models/a/b", "/v1/models/a/b"),
                ("/models-of-cars", "/models-of-cars"),
                ("/completions?ms=1", "/v1/completions"),
                ("/health", "/health"),
            ):
                assert (await asked(port, given)).json["path"] == there
            await it.be(frontage(port, two))
            assert (await asked(port, "/models")).json["path"] == "/models"

    asyncio.run(scenario())
