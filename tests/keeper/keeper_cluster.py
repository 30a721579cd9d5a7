"""A real keeper process on a head of its own, real supervisors on nodes that are real SSH servers, and a client's words
to the keeper, all in one folder."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skyrig.cluster.description import Accelerators, ClusterDescription, Node, SshAccess
from skyrig.fleet.content import Entry, Manifest, frame
from skyrig.fleet.ssh import asyncssh
from skyrig.launch.job import CONVERTER, JobRequest, Scripts
from skyrig.launch.lines import parse

SERVER = """
import asyncio, fcntl, os, sys, threading
from pathlib import Path
def end_with_the_tests():
    fcntl.flock(os.open(os.environ["SKYRIG_NODE_LOCK"], os.O_RDONLY), fcntl.LOCK_SH)
    os._exit(0)
threading.Thread(target=end_with_the_tests, daemon=True).start()
sys.path.insert(0, sys.argv[1])
from fleet_servers import Keys, asyncssh_server
from skyrig.fleet.ssh import asyncssh

async def main(home, port):
    keys = [asyncssh.read_private_key(str(home.parent / name)) for name in ("client", "host", "host")]
    async with asyncssh_server(Keys(*keys), home, port) as target:
        print(target.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[2]), int(sys.argv[3])))
"""
"""The lock named in SKYRIG_NODE_LOCK is the tests' own: should they be killed, all that they started ends."""

PATIENCE_S = 40.0


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
    """Wait for a condition; what it returned."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return met


def environment(home: Path) -> dict[str, str]:
    """What processes on a node find."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SKYRIG_")}
    lock = str(home.parent / "alive.lock")
    return {**inherited, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "SKYRIG_NODE_LOCK": lock}


class ServedNode:
    """One node: a folder with a home, and an SSH server in a process of its own."""

    def __init__(self, folder: Path, number: int) -> None:
        self.home = folder / f"n{number}"
        (self.home / ".skyrig").mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / ".skyrig" / "runtime").symlink_to(sys.prefix)
        self.number = number
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start its server, on the port that it had."""
        fleet = Path(__file__).parents[1] / "fleet"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(fleet), str(self.home), str(self.port)],
            stdout=subprocess.PIPE,
            env=environment(self.home),
            start_new_session=True,
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        """Kill its server; supervisors go on."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def describe(self, host_key: str) -> Node:
        """The node as the cluster's description has it."""
        return Node(
            id=f"n{self.number}",
            rank=self.number,
            host="127.0.0.1",
            port=self.port,
            address="127.0.0.1",
            user=getpass.getuser(),
            host_key=host_key,
            incarnation=f"i{self.number}",
            internal_port=self.port,
            accelerators=Accelerators(),
            cpus=4.0,
        )


class KeeperCluster:
    """Nodes n0 (the head), n1, ...; the records lie in `records`."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.records = folder / "records"
        self._alive = (folder / "alive.lock").open("w")
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        client, host = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        for name, key in (("client", client), ("host", host)):
            key.write_private_key(str(folder / name))
        self.host_key = host.export_public_key().decode().strip()
        self.nodes = [ServedNode(folder, number) for number in range(count)]
        self.keeper_home = self.nodes[0].home / ".skyrig"
        internal = self.keeper_home / "internal"
        internal.mkdir(mode=0o700)
        client.write_private_key(str(internal / "id_ed25519"))
        self.name = "c"
        self.socket = ""
        try:
            self.ensure()
            self.describe()
        except BaseException:
            self.close()
            raise

    def description(self, count: int | None = None) -> ClusterDescription:
        """The cluster, or its first `count` nodes."""
        nodes = tuple(node.describe(self.host_key) for node in self.nodes[:count])
        return ClusterDescription(self.name, "ssh", nodes, SshAccess(""), self.records.as_uri(), isolation="plain")

    def describe(self, count: int | None = None, **more: Any) -> None:
        """Tell the keeper of the cluster and have the nodes prepared."""
        self.ask(op="describe", cluster=self.description(count).to_json(), **more)
        assert self.ask(op="prepare", digest=f"d{count}")["failed"] == {}

    # -- the keeper's process

    def ensure(self) -> None:
        """Start the keeper where none runs."""
        done = subprocess.run(
            [sys.executable, "-I", "-m", "skyrig.launch.keeper", "ensure"],
            env=environment(self.nodes[0].home),
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode() + self.keeper_log()
        self.socket = json.loads(done.stdout)["socket"]

    def pid(self, of: str = "lock") -> int:
        """Pid of the keeper (of="lock") or its watch process (of="watch"); 0 where there is none."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.keeper_home / f"keeper.{of}").read_text())
            if b"skyrig" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return 0

    def kill(self, *, watch: bool = False) -> None:
        """kill -9 the keeper, and before it its watch, if asked for; it comes back by itself or is started again."""
        for of in ("watch", "lock") if watch else ("lock",):
            pid = self.pid(of)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if watch:
            self.ensure()

    def stop_keeper(self) -> None:
        """kill -9 the keeper and its watch; `ensure` starts them again."""
        for of in ("watch", "lock"):
            if pid := self.pid(of):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        until(lambda: not self.pid() and not self.pid("watch"), "the keeper has ended")

    def keeper_log(self) -> str:
        """What the keeper itself had to say."""
        path = self.keeper_home / "keeper.log"
        return path.read_text() if path.exists() else ""

    def memory_kb(self) -> int:
        """Resident memory of the keeper."""
        status = Path(f"/proc/{self.pid()}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    # -- a client's words

    def connect(self) -> socket.socket:
        """A connection to the keeper, which may be starting."""

        def tried() -> socket.socket | None:
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(PATIENCE_S)
            try:
                line.connect(self.socket)
            except OSError:
                line.close()
                return None
            return line

        line: socket.socket = until(tried, f"a keeper that answers\n{self.keeper_log()}")
        return line

    def ask(self, payload: bytes = b"", **message: Any) -> dict[str, Any]:
        """One request and its answer."""
        with self.connect() as line, line.makefile("rwb") as stream:
            if payload:
                message["len"] = len(payload)
            stream.write(json.dumps(message).encode() + b"\n" + payload)
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
        assert "error" not in answer or "expected" in message, answer
        return answer

    def patient(self, **message: Any) -> dict[str, Any]:
        """The same, asked again where the keeper dies over it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.ask(**message)
            except (OSError, ValueError):
                assert time.monotonic() < deadline, self.keeper_log()

    def request(self, script: str, nodes: int = 1, **more: Any) -> dict[str, Any]:
        """A job's request as plain data."""
        made = JobRequest("job", nodes, Scripts({"run.sh": script}), **{"cpus": 0.25, **more})
        data: dict[str, Any] = CONVERTER.unstructure(made)
        return data

    def submit(self, script: str, nodes: int = 1, **more: Any) -> int:
        """Submit a job; its id."""
        record = self.ask(op="submit", request=self.request(script, nodes, **more))["record"]
        return int(record["id"])

    def sync(self, files: dict[str, bytes]) -> str:
        """Bring a workdir to the head; its digest for a job's request."""
        shas = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        manifest = Manifest([Entry(name, "file", 0o644, len(data), shas[name]) for name, data in files.items()])
        missing = self.ask(manifest.to_bytes(), op="need")["missing"]
        with self.connect() as line, line.makefile("rwb") as stream:
            stream.write(json.dumps({"op": "blobs", "shas": missing}).encode() + b"\n")
            for name, data in files.items():
                if shas[name] in missing:
                    stream.write(b"".join(frame(shas[name], len(data), [data])))
            stream.flush()
            assert "error" not in json.loads(stream.readline())
        return manifest.digest

    def jobs(self) -> dict[int, dict[str, Any]]:
        """Every job's record by id."""
        return {row["id"]: row for row in self.patient(op="queue")["records"]}

    def ended(self, job_id: int, seconds: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for a job's end; its record."""
        final = ("SUCCEEDED", "FAILED", "FAILED_SETUP", "CANCELLED")
        record: dict[str, Any] = until(
            lambda: (row := self.jobs()[job_id])["status"] in final and row, f"the end of job {job_id}", seconds
        )
        return record

    def runs(self, job_id: int) -> None:
        """Wait until a job runs."""
        until(lambda: self.jobs()[job_id]["status"] == "RUNNING", f"job {job_id} runs\n{self.keeper_log()}")

    def log(self, job_id: int) -> Path:
        """Where a job's log lies on the head."""
        return self.keeper_home / "jobs" / str(self.jobs()[job_id]["uid"]) / "job.log"

    def close(self) -> None:
        """End everything that was started, by its pid."""
        with contextlib.suppress(OSError, ValueError, AssertionError):
            self.ask(op="cancel", ids=None)
        for of in ("watch", "lock"):
            if pid := self.pid(of):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for node in self.nodes:
            node.stop()
        self._alive.close()
        until(lambda: not self.processes(), "no process of the nodes is left")

    def processes(self) -> list[int]:
        """Processes that have a home in this folder, but for our own children."""
        found = []
        mark = b"HOME=" + os.fsencode(self.folder)
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found


class Following(threading.Thread):
    """A follower of one job that comes back after each break, as the client does; `lines` is what it was told."""

    def __init__(self, cluster: KeeperCluster, job_id: int) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.job_id = job_id
        self.kept = bytearray()
        self.states: list[str] = []
        self.record: dict[str, Any] = {}
        self.ended = False
        self.start()

    def run(self) -> None:
        """Until the job's end."""
        while not self.ended:
            with contextlib.suppress(OSError, ValueError), self.cluster.connect() as line:
                self._follow(line)

    def _follow(self, line: socket.socket) -> None:
        asked = {"op": "follow", "id": self.job_id, "follow": True, "offset": len(self.kept)}
        with line.makefile("rwb") as stream:
            stream.write(json.dumps(asked).encode() + b"\n")
            stream.flush()
            while header := stream.readline():
                message = json.loads(header)
                payload = stream.read(message["len"]) if "len" in message else b""
                if message["event"] == "log" and len(payload) == message["len"]:
                    self.kept += payload
                elif message["event"] == "state":
                    self.record = message["record"]
                    self.states.append(self.record["status"])
                elif message["event"] == "end":
                    self.ended = True

    def outputs(self) -> dict[int, bytes]:
        """Each rank's own output."""
        return outputs(bytes(self.kept))


def outputs(kept: bytes) -> dict[int, bytes]:
    """Each rank's own output, put together from kept lines."""
    found: dict[int, list[bytes]] = {}
    for line in kept.split(b"\n")[:-1]:
        rank, text, ended = parse(line)
        found.setdefault(rank, []).extend((text, b"\n" if ended else b""))
    return {rank: b"".join(parts) for rank, parts in found.items()}
