"""One rank of a Slurm job: its variables, its script, its output, and how it ended.

Standard library only, Python 3.8 or newer; see skyrig.schedulers.slurm.batch for why.
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from typing import IO, Any

from skyrig.schedulers.slurm.ground import GRACE_S, code_of, group, put, read_json, started, workdir

_PIECE_S = 0.5
"""After so long a line that is not whole is shown as far as it is there."""

_NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def both(values: dict[str, str]) -> dict[str, str]:
    """The same variables under both prefixes."""
    return {prefix + name: value for prefix in ("SKYPILOT_", "SKYRIG_") for name, value in values.items()}


def rank_variables(said: dict[str, Any], attempt: dict[str, Any], rank: int, job_id: int, cpus: int) -> dict[str, str]:
    """The environment of a rank, in the layers of skyrig.launch.environment: `said` is secret.json, `attempt` the
    addresses, names and port of this attempt, `cpus` the cores that Slurm gave on this node."""
    procs, addresses, port = said["procs"], attempt["addresses"], attempt["port"]
    defaults = {
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(max(1, cpus // procs)),
        **said["fabric"],
        "MASTER_ADDR": addresses[0],
        "MASTER_PORT": str(port),
        **both({"NODE_IPS": "\n".join(addresses), "NUM_NODES": str(len(addresses))}),
    }
    fixed = {
        **both({
            "CLUSTER_INFO": said["cluster_info"],
            "USER": said["user"],
            "NUM_GPUS_PER_NODE": str(said["accelerators"]),
            "NODE_RANK": str(rank),
            "INTERNAL_JOB_ID": str(job_id),
        }),
        "SKYRIG_PROCS_PER_NODE": str(procs),
        "SKYRIG_DEVICE": "gpu" if said["accelerators"] else "cpu",
        "SKYRIG_NODE_ADDRESS": addresses[rank],
        "SKYRIG_TF_CONFIG": tf_config(addresses, rank, port),
        **said.get("seen", {}),
    }  # fmt: skip
    return _layered(defaults, said, fixed)


def setup_variables(said: dict[str, Any], attempt: dict[str, Any]) -> dict[str, str]:
    """The environment of setup, which runs once, on the first node."""
    nodes, addresses = {"NUM_NODES": str(said["num_nodes"])}, "\n".join(attempt["addresses"])
    fixed = {
        "CLUSTER_INFO": said["cluster_info"],
        "USER": said["user"],
        "SETUP_NODE_IPS": addresses,
        "SETUP_NODE_RANK": "0",
        "SETUP_NUM_GPUS_PER_NODE": str(said["accelerators"]),
    }
    return _layered({"PYTHONUNBUFFERED": "1", **both(nodes)}, said, both(fixed))


def tf_config(addresses: list[str], rank: int, port: int) -> str:
    """What TensorFlow reads from TF_CONFIG; nodes of one address take the ports that follow, one each."""
    alone = len(set(addresses)) == len(addresses)
    workers = [f"{host}:{port if alone else port + at}" for at, host in enumerate(addresses)]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}})


def _layered(defaults: dict[str, str], said: dict[str, Any], fixed: dict[str, str]) -> dict[str, str]:
    task = both({"TASK_ID": said["task_id"]})
    env = {**defaults, **task, **said["env"], **fixed, **said["given"]}
    env["SKYRIG_ENV_NAMES"] = " ".join(sorted(name for name in env if _NAMES.fullmatch(name)))
    return env


class Rank:
    """One rank: the entry script, its output, and how it ended."""

    def __init__(self) -> None:
        self.job, said = read_json("job.json"), read_json("secret.json")
        folder = os.path.join("attempts", os.environ["SKYRIG_SLURM_ATTEMPT"])
        attempt = read_json(os.path.join(folder, "attempt.json"))
        self.rank = int(os.environ["SLURM_NODEID"])
        self.end = os.path.join(folder, "ends", str(self.rank))
        self.folder = os.path.abspath(os.path.join(folder, f"rank-{self.rank}"))
        shutil.copytree("run", self.folder, dirs_exist_ok=True)
        hosts = "".join("{} slots={}\n".format(name, said["procs"]) for name in attempt["nodes"])
        put(os.path.join(self.folder, "hostfile"), hosts)
        cpus = int(os.environ.get("SLURM_CPUS_ON_NODE") or 1)
        variables = rank_variables(said, attempt, self.rank, int(os.environ["SLURM_JOB_ID"]), cpus)
        self.wants_term = variables.get("SKYRIG_NOTICE_SIGNAL") == "TERM"
        notice = os.path.abspath(os.path.join(folder, "notice"))
        own = {"SKYRIG_RANK_DIR": self.folder, "SKYRIG_NOTICE_FILE": notice, "SKYRIG_GRACE_S": f"{GRACE_S:g}"}
        self.env = {**os.environ, **variables, **own}
        self.last: list[bytes] = []
        self.told = False
        self.child: subprocess.Popen[bytes] | None = None
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGUSR1, self._on_notice)

    def run(self) -> int:
        """Run it; its exit code."""
        entry = os.path.join(self.folder, self.job["entry"])
        self.child = started([entry], workdir(self.job), self.env)
        reading = threading.Thread(target=self._copy, args=(self.child.stdout,), daemon=True)
        reading.start()
        code = code_of(self.child.wait())
        told, at = self.told, time.time()
        self._end_leftovers(self.child.pid)
        reading.join(2)
        first = first_failure(os.path.join(self.folder, "proc")) if code else None
        code, at = first or (code, at)
        put(self.end, json.dumps({"code": code, "at": at, "told": told, "step": os.environ.get("SLURM_STEP_ID", "0"),
                                  "last": b"\n".join(self.last).decode("utf-8", "surrogateescape")}))  # fmt: skip
        return code

    def _on_term(self, *_: object) -> None:
        self.told = True
        if self.child is not None:
            group(self.child.pid, signal.SIGTERM)

    def _on_notice(self, *_: object) -> None:
        if self.wants_term and self.child is not None:
            group(self.child.pid, signal.SIGTERM)

    def _end_leftovers(self, pid: int) -> None:
        """What the script left running in its session's group ends with it."""
        deadline = time.monotonic() + 2
        signum = signal.SIGTERM
        while group(pid, signum) and time.monotonic() < deadline + 2:
            if time.monotonic() > deadline:
                signum = signal.SIGKILL
            time.sleep(0.05)

    def _copy(self, stream: IO[bytes]) -> None:
        """Hand the output on, a line at a time; a line that stays open as far as it is there."""
        rest = b""
        while True:
            ready, _, _ = select.select([stream], [], [], _PIECE_S if rest else None)
            if not ready:
                self._out(rest, b"+")
                rest = b""
                continue
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                break
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                self._out(line, b"|")
                self.last = [*self.last, line[-400:]][-15:]
            if len(rest) > 1 << 15:
                self._out(rest, b"+")
                rest = b""
        if rest:
            self._out(rest, b"+")
            self.last = [*self.last, rest[-400:]][-15:]

    def _out(self, text: bytes, mark: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(1, b"%d%s%s\n" % (self.rank, mark, text))


def first_failure(folder: str) -> tuple[int, float] | None:
    """(code, moment) of the process of a rank that failed first, out of what rank.sh wrote; None where none did."""
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError, ValueError), open(path) as file:
            code = int(file.read())
            if code:
                found.append((os.stat(path).st_mtime, code))
    if not found:
        return None
    at, code = min(found)
    return code, at
