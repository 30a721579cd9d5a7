"""A way to AWS on which some calls are refused for being too many."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_REFUSAL = (
    b'<?xml version="1.0"?><Response><Errors><Error><Code>RequestLimitExceeded</Code>'
    b"<Message>Request limit exceeded.</Message></Error></Errors><RequestID>1</RequestID></Response>"
)


class Throttle:
    """`url` is the way; calls of `action` are refused while `left` says so, and are counted in `refused`."""

    def __init__(self, url: str, action: str, left: int) -> None:
        self.url, self.left, self.refused = url, left, 0
        self._action, self._lock = f"Action={action}&".encode(), threading.Lock()

    def refuses(self, body: bytes) -> bool:
        """Whether this call is one too many."""
        with self._lock:
            if self._action not in body + b"&" or not self.left:
                return False
            self.left -= 1
            self.refused += 1
            return True


@contextmanager
def throttled(target: str, action: str, calls: int) -> Iterator[Throttle]:
    """A way to the AWS at `target` on which the first so many calls of an action of EC2 are refused."""
    there = urlsplit(target).netloc

    class Way(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if way.refuses(body):
                self._answer(503, {"Content-Type": "text/xml"}, _REFUSAL)
                return
            onward = http.client.HTTPConnection(there, timeout=60)
            try:
                onward.request(self.command, self.path, body, dict(self.headers))
                answer = onward.getresponse()
                kept = {name: value for name, value in answer.getheaders() if name.lower() in ("content-type", "etag")}
                self._answer(answer.status, kept, answer.read())
            finally:
                onward.close()

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    server.daemon_threads = True
    way = Throttle(f"http://127.0.0.1:{server.server_address[1]}", action, calls)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield way
    finally:
        server.shutdown()
        server.server_close()
