"""Azure Resource Manager on loopback, as far as power goes: accepted operations that are polled, throttling, machines
that are busy or gone. A real HTTP server; only what is behind it is made up."""

from __future__ import annotations

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs


@attrs.define
class Manager:
    """The server's state. `machines` is the power of each machine by its path in lower case; `next` are answers that
    are given instead of the right ones, each once: code, error code, headers. `polls` is how often an operation is
    still in progress when it is asked for."""

    machines: dict[str, str] = attrs.field(factory=dict)
    next: deque[tuple[int, str, dict[str, str]]] = attrs.field(factory=deque)
    ends: deque[str] = attrs.field(factory=deque)
    polls: int = 1
    asked: list[str] = attrs.field(factory=list)
    tokens: list[str] = attrs.field(factory=list)
    address: str = ""
    _running: dict[str, tuple[str, str, int]] = attrs.field(factory=dict)
    _lock: Any = attrs.field(factory=threading.Lock)

    def answer(self, method: str, path: str) -> tuple[int, Any, dict[str, str]]:
        """What is said to one request."""
        with self._lock:
            self.asked.append(f"{method} {path.rpartition('/')[2]}")
            if self.next:
                code, error, headers = self.next.popleft()
                return code, {"error": {"code": error, "message": f"{error},\nsaid by the test"}}, headers
            if path.startswith("/operations/"):
                return self._operation(path)
            machine, _, verb = path.lower().rpartition("/")
            if machine not in self.machines:
                return 404, {"error": {"code": "ResourceNotFound", "message": "no such machine"}}, {}
            if verb == "instanceview":
                statuses = [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{self.machines[machine]}"}]
                return 200, {"statuses": statuses}, {}
            operation = f"/operations/{len(self._running)}"
            self._running[operation] = (machine, "running" if verb == "start" else "deallocated", self.polls)
            return 202, None, {"Azure-AsyncOperation": f"{self.address}{operation}", "Retry-After": "0"}

    def _operation(self, path: str) -> tuple[int, Any, dict[str, str]]:
        machine, state, left = self._running[path]
        if left:
            self._running[path] = (machine, state, left - 1)
            return 200, {"status": "InProgress"}, {"Retry-After": "0"}
        if self.ends:
            error = self.ends.popleft()
            return 200, {"status": "Failed", "error": {"code": error, "message": "said by the test"}}, {}
        self.machines[machine] = state
        return 200, {"status": "Succeeded"}, {}


def serve(manager: Manager) -> ThreadingHTTPServer:
    """A server that answers for `manager`; the caller shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _say(self) -> None:
            manager.tokens.append(self.headers.get("Authorization", ""))
            code, body, headers = manager.answer(self.command, self.path.partition("?")[0])
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _say

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    manager.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server
