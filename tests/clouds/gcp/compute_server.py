"""A Compute Engine API on loopback that knows machines by name: it looks at, starts and stops them, and keeps count."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class ComputeServer:
    """Serves /projects/P/zones/Z/... with the states in `machines`. `calls` is what was asked: "stop n0 true" for a
    stop that discards local disks; `without_capacity` are machines that do not start; a list has `page` machines."""

    def __init__(self) -> None:
        self.machines: dict[str, str] = {}
        self.starts: dict[str, int] = {}
        self.calls: list[str] = []
        self.tokens: set[str] = set()
        self.without_capacity: set[str] = set()
        self.page = 500
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        """Its address, as GOOGLE_COMPUTE_CUSTOM_ENDPOINT takes it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/compute/v1/"

    def __enter__(self) -> ComputeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, url: str, query: dict[str, list[str]], body: object) -> tuple[int, dict[str, object]]:
        """Status and body of the answer to one call."""
        return self.in_zone(method, url.split("/zones/")[1].split("/")[1:], query)

    def in_zone(self, method: str, path: list[str], query: dict[str, list[str]]) -> tuple[int, dict[str, object]]:
        """The same, of a path behind a zone."""
        if method == "GET" and path == ["instances"]:
            return 200, self._listed(query)
        if method == "POST" and path[0] == "instances":
            return self._switched(path[1], path[2], query)
        if method == "POST" and path[0] == "operations" and path[2] == "wait":
            return 200, self._waited(path[1])
        return 400, {"error": {"message": f"{method} {path}"}}

    def _listed(self, query: dict[str, list[str]]) -> dict[str, object]:
        """Machines by the filter, `page` of them at a time."""
        pattern = query["filter"][0].removeprefix("name eq ").strip('"')
        names = sorted(name for name in self.machines if re.fullmatch(pattern, name))
        first = int(query.get("pageToken", ["0"])[0])
        shown = names[first : first + self.page]
        more = {"nextPageToken": str(first + self.page)} if first + self.page < len(names) else {}
        return {"items": [self._one(name) for name in shown], **more} if shown else {}

    def _one(self, name: str) -> dict[str, object]:
        """A machine says when it was stopped once it was; from the first it says when it started."""
        times, status = self.starts.get(name, 0), self.machines[name]
        stopped = {"lastStopTimestamp": f"stop {times}"} if times or status == "TERMINATED" else {}
        return {"name": name, "status": status, "lastStartTimestamp": f"start {times}", **stopped}

    def _switched(self, name: str, verb: str, query: dict[str, list[str]]) -> tuple[int, dict[str, object]]:
        self.calls.append(" ".join([verb, name, *query.get("discardLocalSsd", [])]))
        if name not in self.machines:
            return 404, {"error": {"message": f"{name} was not found"}}
        if verb == "start" and name in self.without_capacity:
            return 200, {"name": f"refused-{name}", "status": "RUNNING"}
        self.machines[name] = "RUNNING" if verb == "start" else "TERMINATED"
        self.starts[name] = self.starts.get(name, 0) + (verb == "start")
        return 200, {"name": f"done-{name}", "status": "RUNNING"}

    def _waited(self, operation: str) -> dict[str, object]:
        if operation.startswith("done-"):
            return {"status": "DONE"}
        error = {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "the zone has no such machine left"}
        return {"status": "DONE", "error": {"errors": [error]}}


def _handler(server: ComputeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def do_DELETE(self) -> None:
            self._do("DELETE")

        def _do(self, method: str) -> None:
            server.tokens.add(self.headers.get("Authorization", ""))
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = json.loads(sent) if sent else None
            status, body = server.answer(method, parts.path, parse_qs(parts.query), asked)
            text = json.dumps(body).encode()
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "0")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
