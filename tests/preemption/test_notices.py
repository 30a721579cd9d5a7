"""The program that asks a node's metadata service, against real servers that speak the three clouds' protocols."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from skyrig.cluster.clouds import registered
from skyrig.launch import nodeside

Answer = tuple[int, str]
NOTHING = (404, "")


class Service:
    """A metadata service. `says` has what is there, by path; `asked` counts."""

    def __init__(self) -> None:
        self.says: dict[str, str] = {}
        self.asked: dict[str, int] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                status, text = service.answer(self.command, self.path, dict(self.headers))
                service.asked[self.path] = service.asked.get(self.path, 0) + 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = answer

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        return (200, self.says[path]) if path in self.says else NOTHING


class Aws(Service):
    """IMDSv2: nothing without a token, and tokens that end."""

    token = 0

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        if (method, path) == ("PUT", "/latest/api/token"):
            if not 1 <= int(headers.get("X-aws-ec2-metadata-token-ttl-seconds", 0)) <= 21600:
                return 400, ""
            self.token += 1
            return 200, f"token-{self.token}"
        if headers.get("X-aws-ec2-metadata-token") != f"token-{self.token}":
            return 401, ""
        return super().answer(method, path.removeprefix("/latest/meta-data/"), headers)


class Gcp(Service):
    """Google Cloud's: nothing without its header."""

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        if headers.get("Metadata-Flavor") != "Google":
            return 403, ""
        return super().answer(method, path.removeprefix("/computeMetadata/v1/instance/"), headers)


class Azure(Service):
    """Azure's: nothing without its header; what is acknowledged would begin at once."""

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        assert method == "GET", "an event was acknowledged"
        if headers.get("Metadata") != "true":
            return 400, ""
        return super().answer(method, path.removeprefix("/metadata/"), headers)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Callable[[str, Service | None], Heard]]:
    """Starts the program for a cloud whose service is there."""
    started: list[tuple[Heard, Service | None]] = []

    def start(cloud: str, service: Service | None = None) -> Heard:
        started.append((Heard(cloud, tmp_path, service.address if service else ""), service))
        return started[-1][0]

    yield start
    for heard, service in started:
        heard.close()
        if service:
            service.server.shutdown()
            service.server.server_close()


class Heard:
    """The program, and what it has said."""

    def __init__(self, cloud: str, home: Path, address: str) -> None:
        command, stdin = nodeside.program("notices", {"service": registered(cloud).notices, "pause_s": 0.05})
        env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SKYRIG_METADATA": address, "http_proxy": "http://[::1]:1"}
        (home / ".skyrig" / "runtime" / "bin").mkdir(parents=True, exist_ok=True)
        python = home / ".skyrig" / "runtime" / "bin" / "python"
        if not python.exists():
            python.symlink_to(sys.executable)
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
        )
        assert self.process.stdin
        self.process.stdin.write(stdin)
        self.process.stdin.flush()
        self.frames: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.frames.append(json.loads(line))

    @property
    def notices(self) -> list[tuple[str, str]]:
        return [(frame["kind"], frame["source"]) for frame in self.frames if "id" in frame]

    def until(self, *notices: tuple[str, str]) -> dict[str, Any]:
        """Wait until exactly these were told; the last one."""
        deadline = time.monotonic() + 15
        while self.notices != list(notices):
            assert time.monotonic() < deadline and len(self.notices) <= len(notices), self.frames
            time.sleep(0.02)
        return next(frame for frame in reversed(self.frames) if "id" in frame)

    def close(self) -> None:
        """It ends when nobody listens any more."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self._reader.join()
        self.process.stdout.close()


@contextmanager
def looked(service: Service, path: str, times: int = 2) -> Iterator[None]:
    """Until the program has looked there so many times after what was done."""
    yield
    before, deadline = service.asked.get(path, 0), time.monotonic() + 15
    while service.asked.get(path, 0) < before + times:
        assert time.monotonic() < deadline, service.asked
        time.sleep(0.02)


def iso(after_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc(after_s: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=after_s), usegmt=True)


Listening = Callable[..., Heard]


def test_it_needs_python_3_8_and_the_standard_library_alone() -> None:
    tree = ast.parse(nodeside.source("notices"), feature_version=(3, 8))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_aws(listening: Listening) -> None:
    service = Aws()
    heard = listening("aws", service)
    action = "/latest/meta-data/spot/instance-action"
    with looked(service, action):
        event = {"NotBefore": rfc(3600).partition(", ")[2], "Code": "system-reboot", "EventId": "e1", "State": "active"}
        service.says["events/maintenance/scheduled"] = json.dumps([event])
    assert heard.notices == []
    service.says["events/recommendations/rebalance"] = json.dumps({"noticeTime": iso(0)})
    risk, spot = ("risk", "aws rebalance recommendation"), ("preemption", "aws spot/instance-action")
    assert heard.until(risk)["left_s"] is None
    service.token += 1  # the old one is not taken any more
    service.says["spot/instance-action"] = json.dumps({"action": "terminate", "time": iso(110)})
    found = heard.until(risk, spot)
    assert 100 < found["left_s"] <= 110
    event["NotBefore"] = rfc(60).partition(", ")[2]
    service.says["events/maintenance/scheduled"] = json.dumps([event, {**event, "EventId": "e2", "State": "completed"}])
    assert 50 < heard.until(risk, spot, ("maintenance", "aws system-reboot"))["left_s"] <= 60
    assert service.asked["/latest/api/token"] == 2


def test_google_cloud(listening: Listening) -> None:
    service = Gcp()
    service.says = {"preempted": "FALSE", "maintenance-event": "NONE"}
    heard = listening("gcp", service)
    with looked(service, "/computeMetadata/v1/instance/maintenance-event"):
        service.says["maintenance-event"] = "MIGRATE_ON_HOST_MAINTENANCE"
    assert heard.notices == []
    service.says["maintenance-event"] = "TERMINATE_ON_HOST_MAINTENANCE"
    ends = ("maintenance", "gcp instance/maintenance-event")
    assert heard.until(ends)["left_s"] is None
    service.says["preempted"] = "TRUE"
    assert 25 < heard.until(ends, ("preemption", "gcp instance/preempted"))["left_s"] <= 30


def test_azure(listening: Listening) -> None:
    service = Azure()
    path = "scheduledevents?api-version=2020-07-01"
    service.says = {path: '{"DocumentIncarnation": 0, "Events": []}'}
    service.says["instance/compute/name?api-version=2021-02-01&format=text"] = "N1-v1"
    event = {"EventId": "a", "EventStatus": "Scheduled", "ResourceType": "VirtualMachine", "Resources": ["n1-v1"]}

    def schedule(*events: dict[str, Any]) -> None:
        service.says[path] = json.dumps({"DocumentIncarnation": 1, "Events": [{**event, **each} for each in events]})

    heard = listening("azure", service)
    reboot = {"EventId": "c", "EventType": "Reboot", "NotBefore": rfc(900)}
    with looked(service, f"/metadata/{path}"):
        schedule(
            {"EventType": "Freeze", "NotBefore": rfc(30)},
            {"EventId": "b", "EventType": "Preempt", "NotBefore": rfc(30), "Resources": ["n2-v1"]},
            reboot,
        )
    assert heard.notices == []
    schedule(reboot, {"EventId": "d", "EventType": "Preempt", "NotBefore": rfc(30)})
    evicted = ("preemption", "azure Preempt")
    assert 20 < heard.until(evicted)["left_s"] <= 30
    schedule({**reboot, "EventStatus": "Started", "NotBefore": ""})
    assert heard.until(evicted, ("maintenance", "azure Reboot"))["left_s"] == 0


def test_a_local_node(listening: Listening, tmp_path: Path) -> None:
    file = tmp_path / ".skyrig" / "preemption.json"
    heard = listening("local")
    file.write_text(json.dumps({"id": "old", "at": time.time() - 1}))
    file.write_text(json.dumps({"id": "new", "at": time.time() + 9}))
    assert 0 < heard.until(("preemption", "local.preempt"))["left_s"] <= 9


def test_a_service_that_does_not_answer_is_told(listening: Listening) -> None:
    service = Aws()
    service.server.shutdown()
    service.server.server_close()
    heard = listening("aws", service)
    deadline = time.monotonic() + 20
    while not any("problem" in frame for frame in heard.frames):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert {} in heard.frames and heard.notices == []
