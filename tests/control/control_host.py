"""Services on a real local cluster for tests of the controller: tiny HTTP servers as replicas."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from user import User, end_nodes, until

from skyrig import standing
from skyrig.control import client, folder, table
from skyrig.control.services import wards as services
from skyrig.control.ward import Ward
from skyrig.errors import SkyrigError
from skyrig.serve.client.deploy import deploy
from skyrig.serve.client.link import steward
from skyrig.serve.spec import Entrance, Probe, Scaling, Secrets, ServiceSpec
from skyrig.serve.state import ReplicaStatus, Snapshot
from skyrig.stack import described, endpoints, lock
from skyrig.task import reading

PORT = 30001

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        said = f"{os.environ['SAYS']} {os.environ['SKYRIG_SERVE_REPLICA_ID']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("", int(os.environ["SKYRIG_SERVE_PORT"])), Handler).serve_forever()
"""


class Host:
    """Somebody who serves: their home, and what `serve` would do for them."""

    def __init__(self, person: User) -> None:
        self.person = person
        self.work = person.clone.parent / "served"
        self.work.mkdir()
        (self.work / "server.py").write_text(SERVER)
        self.lines: list[str] = []

    def up(
        self, name: str, *, replicas: int = 1, says: str = "v1", run: str = "exec python -u server.py", **more: Any
    ) -> Ward:
        """What `serve.up` does, but for waiting; the ward."""
        with client.holding(name):
            ward, service = self.entered(name, replicas=replicas, says=says, run=run, **more)
            deploy(
                ward.stack,
                service.task,
                service.spec,
                service.secrets,
                self.lines.append,
                lambda question: True,
                reached=lambda cluster: services.deployed(ward, cluster),
            )
        self.ensure()
        found = table.ward(name)
        assert found is not None
        return found

    def entered(
        self, name: str, *, replicas: int = 1, says: str = "v1", run: str = "exec python -u server.py", **more: Any
    ) -> tuple[Ward, services.Service]:
        """A service written down, and no more."""
        text = f"name: {name}\nworkdir: {self.work}\nenvs: {{SAYS: {says}}}\nrun: |\n  {run}\n"
        task = reading.loads(text, "t.yaml").only()
        most = more.pop("most", replicas)
        spec = ServiceSpec(
            name,
            8080,
            probe=Probe(initial_delay_s=more.pop("initial_delay_s", 60.0), timeout_s=2, interval_s=1, patience_s=5),
            scaling=Scaling(replicas, most, **more),
            entrance=Entrance(PORT),
        )
        return services.enter(name, name, services.Service(task, spec, Secrets(), {}), alone=True)

    def ensure(self) -> None:
        """Have the controller run."""
        subprocess.run([sys.executable, "-I", "-m", "skyrig.control", "ensure"], env=self.person.env, check=True)

    def snapshot(self, name: str) -> Snapshot | None:
        """What the steward says; None where it says nothing now."""

        async def asked() -> Snapshot | None:
            cluster = described.known(name)
            if cluster is None:
                return None
            async with steward(cluster) as link:
                return await link.snapshot()

        try:
            return asyncio.run(asked())
        except (SkyrigError, OSError):
            return None

    def ready(self, name: str) -> int:
        """How many replicas are READY."""
        now = self.snapshot(name)
        return sum(each.status is ReplicaStatus.READY for each in now.replicas) if now is not None else 0

    def endpoint(self, name: str) -> str:
        """HOST:PORT of a service."""
        cluster = described.describe(name)
        return endpoints.of(cluster).get(PORT, "") if cluster is not None else ""

    def get(self, where: str) -> str:
        """What the endpoint answers; "" where it does not."""
        try:
            with urllib.request.urlopen(f"http://{where}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def kill(self, stack: str, node: str) -> int:
        """kill -9 of a node; its pid."""
        pid = self.pid(stack, node)
        os.kill(pid, signal.SIGKILL)
        return pid

    def pid(self, stack: str, node: str) -> int:
        """Pid of a node that lives; 0 where it does not."""
        rows = [row for row in self.person.json("local.ls")["nodes"] if (row["cluster"], row["name"]) == (stack, node)]
        return int(rows[0]["pid"]) if rows and rows[0]["status"] == "UP" else 0

    def controller(self) -> int:
        """Pid of the controller; 0 where there is none."""
        return client.state().pid or 0

    def log(self, name: str) -> str:
        """What the controller did for a service."""
        file = folder.log("service", name)
        return (file.read_text() if file.exists() else "no log") + folder.standing().log.read_text()

    def until(self, condition: Callable[[], Any], what: str, name: str = "", seconds: float = 90) -> Any:
        """Wait for a condition; what it returned."""
        deadline = time.monotonic() + seconds
        while not (met := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{table.wards()}\n{self.log(name)}"
            time.sleep(0.2)
        return met

    def gone(self, name: str) -> bool:
        """Whether nothing is left of a service: neither ward, package, cluster nor process."""
        return (
            table.ward(name) is None
            and not folder.of_ward("service", name).exists()
            and described.describe(name) is None
            and not self.person.processes(str(self.person.home / "local" / name))
        )


@contextlib.contextmanager
def host(directory: Path) -> Iterator[Host]:
    """Somebody with a home of their own, in whose environment the tests of the block are."""
    person = User(directory, f"c{os.getpid()}-{time.monotonic_ns() % 100000}")
    with pytest.MonkeyPatch.context() as patch:
        for variable in list(os.environ):
            if variable.startswith(("PULUMI_", "SKYRIG_")):
                patch.delenv(variable)
        for variable, value in person.env.items():
            patch.setenv(variable, value)
        patch.chdir(person.clone)
        try:
            yield Host(person)
        finally:
            if folder.root().exists():
                standing.dismiss(folder.standing())
            _end_children(person)
            end_nodes(person.home)


def _end_children(person: User) -> None:
    """End what the controller has left at work, and wait for the engines of that."""
    mark = f"SKYRIG_HOME={person.home}".encode()
    for pid in person.processes("skyrig.control.work"):
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
    for stack in (person.home / "stacks").glob("*"):
        until(lambda name=stack.name: not lock.is_held(name), "its engine has ended", 60)  # type: ignore[misc]
