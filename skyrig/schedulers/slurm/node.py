"""What runs inside a Slurm job: `node.py batch` on its first node, and below srun `node.py rank` on each.

Standard library only, Python 3.8 or newer; started as `python3 -I -S node.py ...` in the job's folder, which is on the
shared file system. The batch step prepares (addresses, a free port, setup where it has not run in this form), starts
the ranks, writes job.log in the form of skyrig.launch.lines, ends the gang when one rank fails, and leaves the verdict
in result.json and in its own exit code. A rank's output goes through srun, so the log has one writer.

Slurm says TERM where it takes the job away (cancelled, out of time, preempted, a node lost): then nothing is written
but told.json, for it may begin anew; each such attempt has a folder of its own, attempts/NUMBER.
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SETUP, NOTE = 1_000_000, 2_000_000
"""Numbers under which setup and Skyrig's own notes stand in a log (skyrig.launch.lines)."""

GRACE_S = 5.0
"""Between TERM and KILL where the gang is ended."""

_IN_FLIGHT_S, _PEER_S = 0.5, 3.0
"""How long to wait for other ranks' ends after the first failure; after one that reads like the loss of a peer."""

_PIECE_S = 0.5
"""After so long a line that is not whole is shown as far as it is there."""

_LOG_LIMIT = 1 << 30
"""Bytes of a job's log; what comes then is not kept, and a line says so."""

_LOST = 4
"""Exit code of a job that lost a node."""

_NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT = re.compile(rb"\d+[|+]")
_KNOWN = re.compile(rb"tasks? [\d,-]+: (Exited with exit code|Terminated|Killed)|slurmstepd.*\bCANCELLED\b")


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


class Log:
    """The job's log: lines of many, each written whole."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size
        self._full = self._size > _LOG_LIMIT
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        """Keep one line, which ends with a line feed."""
        with self._lock:
            if self._full:
                return
            if self._size > _LOG_LIMIT:
                self._full = True
                line = b"%d|the log is full: what comes after this is not kept\n" % NOTE
            self._size += len(line)
            with contextlib.suppress(OSError):  # a full disk must not end the job
                os.write(self._file, line)

    def note(self, text: str) -> None:
        """Keep a note of ours."""
        self.write(b"%d|%s\n" % (NOTE, text.replace("\n", " ").encode("utf-8", "surrogateescape")))

    def setup(self, line: bytes) -> None:
        """Keep a line of setup."""
        self.write(b"%d|%s\n" % (SETUP, line.rstrip(b"\n")))

    def rank(self, line: bytes) -> None:
        """Keep what a rank said through srun. What srun itself says is a note, but for how each rank ended: that is
        told better."""
        if _KEPT.match(line):
            self.write(line)
        elif not _KNOWN.search(line):
            self.write(b"%d|%s\n" % (NOTE, line.rstrip(b"\n")))


class Batch:
    """The batch step of one attempt."""

    def __init__(self) -> None:
        self.job = read_json("job.json")
        self.said = read_json("secret.json")
        self.number = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
        self.id = int(os.environ["SLURM_JOB_ID"])
        self.folder = os.path.join("attempts", str(self.number))
        self.log = Log("job.log")
        self.attempt: dict[str, Any] = {}
        self.ending = False
        self.noticed = False
        self.child: subprocess.Popen[bytes] | None = None
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGUSR1, self._on_notice)

    def run(self) -> int:
        """All of it; the exit code."""
        put("id", str(self.id))
        os.makedirs(os.path.join(self.folder, "ends"), exist_ok=True)
        names = node_names()
        self.attempt = {"nodes": names, "addresses": addresses_of(names), "port": free_port(len(names))}
        put(os.path.join(self.folder, "attempt.json"), json.dumps(self.attempt))
        if self.number:
            self.log.note("Slurm begins the job anew, for the {}. time, on {}".format(self.number, ", ".join(names)))
        code = self._setup() if "setup_hash" in self.job else 0
        if self.ending:
            return self._told()
        if code:
            return self._settle("FAILED_SETUP", code, [code], 0, f"setup exited with code {code}", "script")
        self._state("run")
        return self._ranks()

    def _on_term(self, *_: object) -> None:
        self.ending = True

    def _on_notice(self, *_: object) -> None:
        self.noticed = True

    def _state(self, phase: str) -> None:
        began = time.time()
        known = {"phase": phase, "attempt": self.number, "nodes": self.attempt["nodes"], "at": began}
        put("state.json", json.dumps(known))

    def _notice(self) -> None:
        """Let the ranks know that the time is nearly over: by the file that they look at, and by a signal for those
        that want one."""
        self.noticed = False
        left = self.job["notice_s"]
        known = {"id": f"slurm-{self.number}", "node": self.attempt["nodes"][0], "kind": "preemption",
                 "source": "slurm time limit", "left_s": left, "deadline": time.time() + left}  # fmt: skip
        put(os.path.join(self.folder, "notice"), json.dumps(known))
        self.log.note(f"the job's time at Slurm is over in {left:.0f} s")
        if self.child is not None:
            self.child.send_signal(signal.SIGUSR1)  # srun hands it on to each rank

    def _setup(self) -> int:
        """Run setup where it has not run in this form, once for all nodes: they share the file system."""
        where = os.path.join("..", "..", "setups")
        os.makedirs(where, mode=0o700, exist_ok=True)
        mark = os.path.join(where, self.job["setup_hash"])
        self._state("setup")
        with open(mark + ".lock", "w") as lock:
            while not locked(lock):
                if self.ending:
                    return 0
                time.sleep(0.5)  # another job runs the same one
            if os.path.exists(mark) and not self.job["force_setup"]:
                return 0
            scripts = os.path.abspath(os.path.join(self.folder, "setup"))
            shutil.copytree("setup", scripts, dirs_exist_ok=True)
            env = {**os.environ, **setup_variables(self.said, self.attempt), "SKYRIG_RANK_DIR": scripts}
            code = self._followed([os.path.join(scripts, "setup.sh")], env)
            if code == 0 and not self.ending:
                put(mark, "")
            return code

    def _followed(self, script: list[str], env: dict[str, str]) -> int:
        with started(script, workdir(self.job), env) as child:
            reading = pump(child.stdout, self.log.setup)
            while child.poll() is None:
                if self.ending:
                    group(child.pid, signal.SIGTERM)
                time.sleep(0.1)
            reading.join(2)
            return code_of(child.returncode)

    def _ranks(self) -> int:
        """Start the ranks, wait for them, and end them all where one fails."""
        count = len(self.attempt["nodes"])
        words = ["srun", f"--nodes={count}", "--ntasks-per-node=1", "--kill-on-bad-exit=0", "--wait=0",
                 "--unbuffered", "--input=none", "--distribution=block"]  # fmt: skip
        if os.environ.get("SLURM_CPUS_PER_TASK"):
            words.append("--cpus-per-task=" + os.environ["SLURM_CPUS_PER_TASK"])
        env = {**os.environ, "SKYRIG_SLURM_ATTEMPT": str(self.number)}
        words += [sys.executable, "-I", "-S", os.path.abspath("node.py"), "rank"]
        self.child = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        reading = [pump(self.child.stdout, self.log.rank), pump(self.child.stderr, self.log.rank)]
        gang = Gang(self, count)
        while self.child.poll() is None:
            if self.noticed:
                self._notice()
            gang.look()
            time.sleep(0.1)
        for each in reading:
            each.join(5)
        return self._told() if self.ending else self._verdict(gang, count)

    def _verdict(self, gang: Gang, count: int) -> int:
        ends = gang.ends()
        lost = [rank for rank in range(count) if rank not in ends]
        culprit = gang.culprit(ends)
        if lost and not gang.killed and (culprit is None or gang.lost_its_peer(culprit)):
            return self._lost(lost)
        codes = [ends[rank]["code"] if rank in ends else 137 for rank in range(count)]
        if culprit is None:
            code = next((each for each in codes if each), 0)
            return self._settle("FAILED" if code else "SUCCEEDED", code, codes, -1, "", "script" if code else "")
        code = ends[culprit]["code"]
        where = " on {}".format(self.attempt["nodes"][culprit]) if count > 1 else ""
        reason = f"rank {culprit}{where} exited with code {code}" if count > 1 else f"exit code {code}"
        return self._settle("FAILED", code, codes, culprit, reason, "script")

    def _lost(self, ranks: list[int]) -> int:
        """Ranks are gone without a word, so probably their nodes: what comes of it is Slurm's to say. It begins the job
        anew when it has given the node up; where it does not, it is asked to."""
        names = ", ".join(self.attempt["nodes"][rank] for rank in ranks)
        self.log.note(f"nothing is heard of {names} any more: waiting for what Slurm makes of it")
        deadline = time.monotonic() + 1.5 * slurmd_timeout() + 20
        while not self.ending and time.monotonic() < deadline:
            time.sleep(0.2)
        if self.ending:
            return self._told()
        if subprocess.call(["scontrol", "requeue", str(self.id)]) == 0:
            return 1
        codes = [-1] * len(self.attempt["nodes"])
        return self._settle("FAILED", _LOST, codes, -1, f"lost node {names}", "node")

    def _settle(self, status: str, code: int, codes: list[int], culprit: int, reason: str, cause: str) -> int:
        """Write how the job ended; after that it needs its secrets no more."""
        known = {"status": status, "code": code, "codes": codes, "culprit": culprit, "reason": reason, "cause": cause,
                 "attempt": self.number, "at": time.time()}  # fmt: skip
        put("result.json", json.dumps(known))
        with contextlib.suppress(FileNotFoundError):
            os.unlink("secret.json")
        return code

    def _told(self) -> int:
        """Slurm takes the job away. Where it will not run again its secrets go; so they do when somebody looks."""
        said = subprocess.run(["scontrol", "-o", "show", "job", str(self.id)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        found = re.search(r"\bJobState=(\w+)", said.stdout)
        state = found.group(1) if found else ""
        if state in ("CANCELLED", "TIMEOUT", "DEADLINE"):
            put("told.json", json.dumps({"state": state, "attempt": self.number, "at": time.time()}))
            with contextlib.suppress(FileNotFoundError):
                os.unlink("secret.json")
        return 143


class Gang:
    """The ranks of an attempt as their ends tell; the first failure ends them all."""

    def __init__(self, batch: Batch, count: int) -> None:
        self._batch, self._count = batch, count
        self._failed_at: float | None = None
        self._told_at: float | None = None
        self.killed = False
        self._peer = re.compile(batch.job["peer_loss"].encode(), re.IGNORECASE)

    def look(self) -> None:
        """Do what is due."""
        ends, now = self.ends(), time.monotonic()
        first = self.culprit(ends)
        if first is None:
            return
        self._failed_at = self._failed_at or now
        patience = _PEER_S if self.lost_its_peer(first) else _IN_FLIGHT_S
        if len(ends) == self._count or now < self._failed_at + patience:
            return
        if self._told_at is None:
            self._told_at = now
            self._signal("TERM", ends[first]["step"])
        elif now > self._told_at + GRACE_S and not self.killed:
            self.killed = True
            self._signal("KILL", ends[first]["step"])

    def ends(self) -> dict[int, dict[str, Any]]:
        """What ranks that have ended left, by rank."""
        where = os.path.join(self._batch.folder, "ends")
        found = {int(name): read_json(os.path.join(where, name)) for name in os.listdir(where) if name.isdigit()}
        return {rank: end for rank, end in found.items() if end is not None}

    def culprit(self, ends: dict[int, dict[str, Any]]) -> int | None:
        """The rank that failed first by its own doing: the earliest, unless it only lost a peer and another did not."""
        failed = sorted((end["at"], rank) for rank, end in ends.items() if end["code"] and not end["told"])
        own = [rank for _, rank in failed if not self.lost_its_peer(rank)]
        return own[0] if own else failed[0][1] if failed else None

    def lost_its_peer(self, rank: int) -> bool:
        """Whether a rank's last lines say that another one was gone."""
        if self._count == 1:
            return False
        end = read_json(os.path.join(self._batch.folder, "ends", str(rank)))
        return end is not None and self._peer.search(end["last"].encode("utf-8", "surrogateescape")) is not None

    def _signal(self, name: str, step: str) -> None:
        target = f"{self._batch.id}.{step}"
        subprocess.call(["scancel", "--signal=" + name, target], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


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


def node_names() -> list[str]:
    """The nodes of the job, the first of them is this one."""
    said = subprocess.run(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]], stdout=subprocess.PIPE,
                          text=True, check=True)  # fmt: skip
    return said.stdout.split()


def addresses_of(names: list[str]) -> list[str]:
    """Their addresses as Slurm knows them, as numbers where they can be looked up."""
    said = subprocess.run(["scontrol", "-o", "show", "node", ",".join(names)], stdout=subprocess.PIPE, text=True)
    known = dict(re.findall(r"NodeName=(\S+).*?NodeAddr=(\S+)", said.stdout))
    found = []
    for name in names:
        address = known.get(name, name)
        with contextlib.suppress(OSError):
            address = socket.gethostbyname(address)
        found.append(address)
    return found


def free_port(count: int) -> int:
    """A port that is free on this node, with so many free ones behind it."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            first = stack.enter_context(socket.socket())
            first.bind(("", 0))
            port = int(first.getsockname()[1])
            for number in range(1, count):
                stack.enter_context(socket.socket()).bind(("", port + number))
            return port


def slurmd_timeout() -> int:
    """Seconds after which Slurm gives a silent node up."""
    said = subprocess.run(["scontrol", "show", "config"], stdout=subprocess.PIPE, text=True).stdout
    found = re.search(r"SlurmdTimeout\s*=\s*(\d+)", said)
    return int(found.group(1)) if found else 300


def workdir(job: dict[str, Any]) -> str:
    """Where scripts run: the workdir that was brought, or a folder of the job's own."""
    folder = os.path.abspath(os.path.join("..", "..", job["workdir"]) if job["workdir"] else "work")
    os.makedirs(folder, exist_ok=True)
    return folder


def started(script: list[str], folder: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """A script in a session of its own, both its outputs in one."""
    return subprocess.Popen(["/bin/bash", *script], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip


def pump(stream: IO[bytes] | None, sink: Callable[[bytes], None]) -> threading.Thread:
    """Hand the lines of a stream to `sink`, in a thread."""
    assert stream is not None

    def copy() -> None:
        for line in stream:
            sink(line if line.endswith(b"\n") else line + b"\n")

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def group(pid: int, signum: int) -> bool:
    """Signal a process group; whether anybody is in it."""
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def locked(file: IO[str]) -> bool:
    """Try to take a lock that also holds between machines."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def code_of(status: int) -> int:
    """An exit code as a shell would say it."""
    return 128 - status if status < 0 else status


def read_json(path: str) -> Any:
    """The JSON of a file; None where it is not there (whole)."""
    try:
        with open(path) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def put(path: str, text: str) -> None:
    """Write a file, whole or not at all, for its owner alone."""
    fresh = f"{path}.{socket.gethostname()}.{os.getpid()}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


if __name__ == "__main__":
    sys.exit((Batch() if sys.argv[1] == "batch" else Rank()).run())
