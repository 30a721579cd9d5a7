"""A service on a real keeper's cluster: what is asked of its steward, and replicas that are tiny HTTP servers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import evolve
from keeper_cluster import KeeperCluster, environment, until

from skyrig.launch.job import CONVERTER, JobRequest, Scripts
from skyrig.serve.spec import CONVERTER as SPECS
from skyrig.serve.spec import Entrance, Probe, Scaling, ServiceSpec
from skyrig.serve.state import Replica, Snapshot

REPLICA = """
exec {python} - <<'EOF'
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        bad = os.path.exists(os.path.expanduser("~/unwell"))
        if not self.path.startswith("/health"):
            time.sleep({pause})
        text = ("{word} %s %d" % (os.environ["SKYPILOT_SERVE_REPLICA_ID"], os.getpid())).encode()
        self.send_response(500 if bad else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *words):
        pass
class Server(ThreadingHTTPServer):
    request_queue_size = 128
print("serving {word}", flush=True)
Server(("127.0.0.1", int(os.environ["SKYRIG_SERVE_PORT"])), Answering).serve_forever()
EOF
"""


def replica(word: str = "one", pause_s: float = 0.01) -> str:
    """A replica that answers with `word`, its id and its pid; while its node's ~/unwell is there, with status 500."""
    return REPLICA.format(python=sys.executable, word=word, pause=pause_s)


def spec(replicas: int = 1, port: int = 0, **more: Any) -> ServiceSpec:
    """A service of tiny servers, with probes that are quick to say what is so."""
    probe = Probe("/health", initial_delay_s=30, timeout_s=3, interval_s=0.5, patience_s=3)
    made = ServiceSpec(
        "svc", 8080, probe=probe, scaling=Scaling(replicas, replicas), entrance=Entrance(port or free()), alone=False
    )
    return evolve(made, **more)


def free() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """The steward of a cluster, and what a client says to it. `count` nodes are described to it."""

    def __init__(self, cluster: KeeperCluster) -> None:
        self.cluster = cluster
        self.home = cluster.keeper_home
        self.count = len(cluster.nodes)
        self.socket = ""

    def ensure(self) -> None:
        """Start the steward where none runs."""
        done = subprocess.run(
            [sys.executable, "-I", "-m", "skyrig.serve.steward", "ensure"],
            env=environment(self.cluster.nodes[0].home),
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode() + self.log()
        self.socket = json.loads(done.stdout)["socket"]

    def log(self) -> str:
        """What the steward itself had to say."""
        path = self.home / "steward.log"
        return path.read_text() if path.exists() else ""

    def pid(self, of: str = "lock") -> int:
        """Pid of the steward (of="lock") or its watch process (of="watch"); 0 where there is none."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home / f"steward.{of}").read_text())
            if b"skyrig" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return 0

    def kill(self) -> None:
        """kill -9 the steward, and wait for the one that its watch starts."""
        killed = self.pid()
        os.kill(killed, signal.SIGKILL)
        until(lambda: self.pid() not in (0, killed), f"the next steward\n{self.log()}")

    def ask(self, **message: Any) -> dict[str, Any]:
        """One request and its answer, asked again where the steward dies over it."""

        def tried() -> tuple[dict[str, Any]] | None:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(40)
                try:
                    line.connect(self.socket)
                    line.sendall(json.dumps(message).encode() + b"\n")
                    answer: dict[str, Any] = json.loads(line.makefile("rb").readline())
                except (OSError, ValueError):
                    return None
            return (answer,)

        said: dict[str, Any] = until(tried, f"a steward that answers\n{self.log()}")[0]
        assert "error" not in said or "expected" in message, said
        return said

    def request(self, script: str, **more: Any) -> JobRequest:
        """What replicas are made of."""
        return JobRequest("svc", 1, Scripts({"run.sh": script}), **more)

    def apply(self, what: ServiceSpec, script: str, expected: str = "", **more: Any) -> dict[str, Any]:
        """Have this be the service."""
        return self.ask(
            op="apply",
            spec=SPECS.unstructure(what),
            request=CONVERTER.unstructure(self.request(script, **more)),
            secrets={"pem": ""},
            cluster=self.cluster.description(self.count).to_json(),
            **({"expected": expected} if expected else {}),
        )

    def describe_first(self, count: int) -> None:
        """The next service is on so many nodes."""
        self.count = count

    def describe(self, count: int) -> None:
        """The cluster has so many nodes now."""
        self.count = count
        self.ask(op="describe", cluster=self.cluster.description(count).to_json())

    def snapshot(self) -> Snapshot:
        """What is known of the service."""
        told = until(lambda: self.ask(op="snapshot")["snapshot"], "a service")
        return SPECS.structure(told, Snapshot)

    def ready(self, version: int = 0) -> list[Replica]:
        """Replicas that are READY, of `version` if it is given."""
        found = [each for each in self.snapshot().replicas if each.status == "READY"]
        return [each for each in found if version in (0, each.version)]

    def until_ready(self, count: int, version: int = 0, seconds: float = 40.0) -> list[Replica]:
        """Wait until so many replicas are READY."""
        found: list[Replica] = until(
            lambda: (ready := self.ready(version)) and len(ready) == count and ready,
            f"{count} replicas\n{self.log()}",
            seconds,
        )
        return found

    def running(self) -> list[dict[str, Any]]:
        """Records of the keeper's jobs that have not ended."""
        final = ("SUCCEEDED", "FAILED", "FAILED_SETUP", "CANCELLED")
        return [row for row in self.cluster.jobs().values() if row["status"] not in final]

    def stop(self) -> None:
        """End the service."""
        self.ask(op="stop")

    def close(self) -> None:
        """End what was started, by its pid."""
        if self.socket and self.pid():
            self.stop()
        for of in ("watch", "lock"):
            self.end(of)

    def end(self, of: str) -> None:
        """kill -9 the steward (of="lock") or its watch process (of="watch")."""
        if pid := self.pid(of):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
