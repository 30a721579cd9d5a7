"""A service as its user has it, under load from its first to its last moment: nodes are killed, versions come, good and
bad, the head goes and comes back."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from load import Asked, load
from user import User, end_nodes, until

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # each part of it is tested by itself at landing

SERVER = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(0.02)
        body = f"{os.environ['VERSION']} {os.environ['SKYPILOT_SERVE_REPLICA_ID']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

if os.environ["VERSION"] == "bad":
    sys.exit("no such model")
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
SERVICE = """\
name: echoes
workdir: {folder}
resources:
  cpus: 1
service:
  readiness_probe:
    path: /health
    initial_delay_seconds: 60
  replicas: 3
  ports: 8080
envs:
  VERSION: {version}
run: exec python server.py
"""
NAME = "echoes"
THREADS = 4


class Service:
    """The service of these tests, and who owns it."""

    def __init__(self, folder: Path) -> None:
        self.person = User(folder / "user", NAME)
        self.folder = folder / "work"
        self.folder.mkdir()
        (self.folder / "server.py").write_text(SERVER)

    def file(self, version: str) -> str:
        """A task file that serves `version`."""
        path = self.folder.parent / f"{version}.yaml"
        path.write_text(SERVICE.format(folder=self.folder, version=version))
        return str(path)

    def now(self) -> dict[str, Any]:
        """The row of `serve.status --json`."""
        (row,) = self.person.json("serve.status", "-n", NAME)["services"]
        return dict(row)

    def ready(self) -> list[int]:
        """Numbers of the replicas that are ready."""
        return [each["id"] for each in self.now()["replicas"] if each["status"] == "READY"]

    def node(self, name: str) -> dict[str, Any]:
        """A node of the service's cluster, as `local.ls` has it."""
        return self.person.nodes()[name]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, haproxy: str) -> Iterator[Service]:
    """Three replicas, up."""
    made = Service(tmp_path_factory.mktemp("service"))
    try:
        told = made.person.run("serve.up", made.file("one"), "-n", NAME, "--infra", "local", "-y", timeout=240)
        assert made.now()["endpoint"] in told.out.decode() + told.err.decode()
        until(lambda: len(made.ready()) == 3, "three replicas", 60)
        yield made
    finally:
        made.person.run("serve.down", "-n", NAME, "-y", check=None, timeout=240)
        end_nodes(made.person.home)


@pytest.fixture
def asked(service: Service) -> Iterator[Asked]:
    """Load on the endpoint for as long as the test lasts."""
    with load(service.now()["endpoint"], threads=THREADS) as running:
        until(lambda: len(running.answers) == 3, "an answer of each replica")
        running.since()
        yield running


def test_a_killed_node_costs_what_was_in_flight_on_it_and_comes_back(service: Service, asked: Asked) -> None:
    before = service.now()["replicas"]
    lost = service.node("n2")
    os.kill(lost["pid"], signal.SIGKILL)
    until(lambda: len(service.ready()) == 3 and service.node("n2")["pid"] != lost["pid"], "the third replica", 90)
    assert len(asked.again()) <= THREADS
    after = service.now()["replicas"]
    kept = [each["id"] for each in before if each["id"] in [one["id"] for one in after if one["status"] == "READY"]]
    assert len(kept) >= 2, "the others stay"
    asked.since()
    until(lambda: len(asked.answers) == 3, "an answer of each replica")


def test_a_rolling_update_fails_no_request(service: Service, asked: Asked) -> None:
    service.person.run("serve.update", service.file("two"), "-n", NAME, "-y", timeout=240)
    until(lambda: _is_whole(service), "three replicas of the new version alone", 120)
    asked.since()
    until(lambda: len(asked.answers) == 3, "an answer of each replica")
    assert {answer.split()[0] for answer in asked.since()} == {"two"}
    assert not asked.again()
    until(lambda: len(service.person.nodes()) == 3, "three nodes", 60)


def test_a_bad_update_is_taken_back_and_fails_no_request(service: Service, asked: Asked) -> None:
    told = service.person.run("serve.update", service.file("bad"), "-n", NAME, "-y", check=None, timeout=240)
    until(lambda: service.now()["update"] == "ROLLED_BACK", "the old version", 120)
    assert "no such model" in told.told() and told.code == 5, told.told()
    until(lambda: _is_whole(service), "three replicas of the old version alone", 60)
    assert not asked.again()
    assert {answer.split()[0] for answer in asked.since()} == {"two"}


def test_a_killed_head_comes_back_with_its_endpoint(service: Service) -> None:
    endpoint = service.now()["endpoint"]
    lost = service.node("n0")
    os.kill(lost["pid"], signal.SIGKILL)
    until(lambda: service.node("n0")["pid"] != lost["pid"], "another head", 90)

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{endpoint}/", timeout=5) as answer:
                return bool(answer.read().startswith(b"two "))
        except OSError:
            return False

    until(answers, "an answer at the same address", 60)
    until(lambda: len(service.ready()) == 3, "three replicas", 60)


def test_nothing_is_left(service: Service) -> None:
    person = service.person
    person.run("serve.down", "-n", NAME, "-y", timeout=240)
    assert person.nodes() == {}
    assert person.json("serve.status")["services"] == []
    until(lambda: not person.processes(str(person.home)), "no process", 60)


def _is_whole(service: Service) -> bool:
    now = service.now()
    return now["update"] != "UNDER_WAY" and len(service.ready()) == 3
