"""A replica for tests, as a program: `replica.py NAME` serves on a free port of 127.0.0.1 and prints it.

Every answer says who gives it. `/?ms=N` answers after N milliseconds; `/stream?ms=N` sends five events, N milliseconds
apart, and the moment of each; `/hold` answers once `/release` was asked for; `/headers` answers with the request's
headers; `/stop` ends the replica at once.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NAME = sys.argv[1]
RELEASED = threading.Event()


class Replica(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        url = urlsplit(self.path)
        pause = int(parse_qs(url.query).get("ms", ["0"])[0]) / 1000
        body = self._body()
        if url.path == "/stop":
            os._exit(1)
        if url.path == "/stream":
            self._stream(pause)
            return
        if url.path == "/hold":
            RELEASED.wait(60)
        if url.path == "/release":
            RELEASED.set()
        time.sleep(pause)
        said = {"name": NAME, "path": url.path, "read": len(body)}
        if url.path == "/headers":
            said["headers"] = {name.lower(): value for name, value in self.headers.items()}
        text = json.dumps(said).encode()
        self.send_response(500 if url.path == "/fault" else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _stream(self, pause: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(5):
            event = f"data: {number} {time.time()}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(pause)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes bursts of connections."""

    request_queue_size = 512
    daemon_threads = True


server = Server(("127.0.0.1", 0), Replica)
print(server.server_port, flush=True)
server.serve_forever()
