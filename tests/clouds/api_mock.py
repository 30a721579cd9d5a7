"""A cloud's HTTP API on loopback that holds callers, and itself, to its published description: a request that this
does not allow, and an answer that it does not foresee, are kept in `wrong`, and a test that finds any fails.

What goes wrong on purpose is a `Fault`: an answer in place of the right one, before or after the work is done.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from attrs import define, field, frozen
from jsonschema import Draft202012Validator

Body = Any


@frozen
class Answer(Exception):
    """An answer that ends the work: a refusal, or nothing to tell."""

    status: int
    body: Body = None
    headers: Mapping[str, str] = field(factory=dict)


@define
class Fault:
    """So many calls of an operation are answered so; `after`: once the work is done. With status 0 the connection is
    cut."""

    operation: str
    status: int
    body: Body = None
    times: int = 1
    after: bool = False
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Call:
    """One call: its operation by the description's name for it, what was sent, and when."""

    operation: str
    body: Body
    at: float


Work = Callable[..., Body]


class ApiMock:
    """One API at HOST + BASE. `work` has a function by operation, which takes the parts of the path, and `body` and
    `query`; it returns what is answered with the first status that the description has, or raises Answer. `slow` are
    seconds between the work of an operation and its answer."""

    def __init__(self, description: Path, key: str) -> None:
        self.description: dict[str, Any] = json.loads(description.read_text())
        self.key = key
        self.keys = {key}
        self.caller = ""
        self.headers: dict[str, str] = {}
        self.work: dict[str, Work] = {}
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.wrong: list[str] = []
        self.slow: dict[str, float] = {}
        self.lock = threading.RLock()
        server = urlsplit(self.description["servers"][0]["url"])
        self._base = f"/{server.hostname}{server.path}" if server.hostname else ""
        mock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                mock.serve(self)

            do_POST = do_DELETE = do_PATCH = do_PUT = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def env(self) -> dict[str, str]:
        """What points programs here."""
        return {"SKYRIG_MACHINES_LOOPBACK": self.url}

    def count(self, operation: str) -> int:
        """How often an operation was called."""
        return sum(call.operation == operation for call in self.calls)

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        length = int(request.headers.get("Content-Length") or 0)
        raw = request.rfile.read(length)
        try:
            answer = self._answered(request, raw)
        except Answer as refused:
            answer = refused
        if not answer.status:
            request.close_connection = True
            request.connection.close()
            return
        data = b"" if answer.body is None else json.dumps(answer.body).encode()
        request.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(data))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)

    def _answered(self, request: BaseHTTPRequestHandler, raw: bytes) -> Answer:
        parts = urlsplit(request.path)
        operation, said, given = self._operation(request.command, parts.path)
        body = json.loads(raw) if raw else None
        query = dict(parse_qsl(parts.query))
        self._check_request(said, body, query, request.command)
        with self.lock:
            self.calls.append(Call(operation, body, time.monotonic()))
            self.caller = str(request.headers.get("Authorization", "")).removeprefix("Bearer ")
            if self.caller not in self.keys:
                raise Answer(401, self.unauthorized())
            fault = next((each for each in self.faults if each.operation == operation and each.times > 0), None)
            if fault is not None:
                fault.times -= 1
                if not fault.after:
                    raise Answer(fault.status, fault.body, fault.headers)
            try:
                self.headers = dict(request.headers)
                done = self.work[operation](*given, **({"body": body} if body else {"query": query}))
            except Answer as refused:
                self._check_answer(operation, said, refused.status, refused.body)
                raise
            if fault is not None:
                raise Answer(fault.status, fault.body, fault.headers)
        time.sleep(self.slow.get(operation, 0.0))
        status = next(int(code) for code in said["responses"] if code.startswith("2"))
        self._check_answer(operation, said, status, done)
        return Answer(status, done)

    def unauthorized(self) -> Body:
        """What is answered to a wrong key."""
        return None

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any], list[str]]:
        for template, methods in self.description["paths"].items():
            match = re.fullmatch(self._base + re.sub(r"\{[^}]+\}", "([^/]+)", template), path)
            if match and method.lower() in methods:
                said = methods[method.lower()]
                return said["operationId"], said, list(match.groups())
        self.wrong.append(f"{method} {path}: the description has no such call")
        raise Answer(404)

    def _check_request(self, said: dict[str, Any], body: Body, query: Mapping[str, str], method: str) -> None:
        schema = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        known = {each["name"] for each in said.get("parameters", ()) if each["in"] == "query"}
        wrong = [f"unknown parameter {name}" for name in query if name not in known]
        if schema is None and body:
            wrong.append("a body where none is foreseen")
        if schema is not None:
            wrong += self._violations(schema, body)
        if wrong:
            self.wrong += [f"{method} {said['operationId']}: {each}" for each in wrong]
            raise Answer(400)

    def _check_answer(self, operation: str, said: dict[str, Any], status: int, body: Body) -> None:
        foreseen = said["responses"].get(str(status), said["responses"].get("default"))
        if foreseen is None:
            self.wrong.append(f"{operation}: the description foresees no answer {status}")
            return
        named = foreseen.get("$ref", "").rpartition("/")[2]
        content = (self.description["components"]["responses"][named] if named else foreseen).get("content", {})
        for schema in (each["schema"] for each in content.values() if "schema" in each):
            self.wrong += [f"{operation}: answer {status}: {each}" for each in self._violations(schema, body)]

    def _violations(self, schema: Mapping[str, Any], value: Body) -> list[str]:
        whole = {**schema, "components": self.description["components"]}
        return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)]
