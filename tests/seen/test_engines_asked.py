"""What the head asks of engines: real HTTP servers, good ones and others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skyrig.serve.metrics import engines
from skyrig.serve.metrics.engines import Aim, Engines, ask
from skyrig.serve.metrics.exposition import merged


class Engine(BaseHTTPRequestHandler):
    """Counts ten tokens more each time that it is asked; other paths answer with what no engine would."""

    count = 0

    def do_GET(self) -> None:
        type(self).count += 10
        text = f"# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total {self.count}\n".encode()
        bodies = {"/metrics": text, "/large": b"x 1\n" * 2_000_000, "/page": b"<html>", "/gone": b""}
        if self.path == "/silent":
            self.server.over.wait(30)  # type: ignore[attr-defined]
        body = bodies.get(self.path, b"")
        self.send_response(404 if self.path == "/gone" else 200)
        self.end_headers()
        with_it = body if self.path != "/silent" else b""
        self.wfile.write(with_it)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """An engine's."""
    Engine.count = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    server.over = threading.Event()  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.over.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def test_tokens_of_engines_that_tell(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "EVERY_S", 0.05)

    async def main() -> None:
        asked = Engines()
        asked.mind({1: Aim("127.0.0.1", port, "/metrics"), 2: Aim("127.0.0.1", port, "/page")})
        while not asked.tokens_per_s() or len(asked.parts()) < 2:  # noqa: ASYNC110  (nobody is told when an engine was asked)
            await asyncio.sleep(0.02)
        assert asked.tokens_per_s().keys() == {1} and asked.tokens_per_s()[1] > 0
        lines = merged(asked.parts()).splitlines()
        assert lines[0] == "# TYPE vllm:generation_tokens_total counter"
        assert lines[1].startswith('vllm:generation_tokens_total{replica="1"} ') and len(lines) == 2
        asked.mind({2: Aim("127.0.0.1", port, "/page")})
        assert asked.tokens_per_s() == {}, "one that is gone tells no more"
        asked.mind({})
        assert asked.parts() == []

    asyncio.run(asyncio.wait_for(main(), 60))


def test_answers_that_are_no_metrics(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_PATIENCE_S", 1.0)

    async def main() -> list[str | None]:
        return [await ask(Aim("127.0.0.1", port, path)) for path in ("/large", "/silent", "/gone")]

    assert asyncio.run(main()) == [None, None, None]
    assert asyncio.run(ask(Aim("127.0.0.1", 1, "/metrics"))) is None
