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
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from skyrig.schedulers.slurm.ground import GRACE_S, code_of, group, locked, pump, put, read_json, started, workdir
from skyrig.schedulers.slurm.rank import Rank, setup_variables

SETUP, NOTE = 1_000_000, 2_000_000
"""Numbers under which setup and Skyrig's own notes stand in a log (skyrig.launch.lines)."""

_IN_FLIGHT_S, _PEER_S = 0.5, 3.0
"""How long to wait for other ranks' ends after the first failure; after one that reads like the loss of a peer."""

_LOG_LIMIT = 1 << 30
"""Bytes of a job's log; what comes then is not kept, and a line says so."""

_LOST = 4
"""Exit code of a job that lost a node."""

_KEPT = re.compile(rb"\d+[|+]")
_KNOWN = re.compile(rb"tasks? [\d,-]+: (Exited with exit code|Terminated|Killed)|slurmstepd.*\bCANCELLED\b")


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


def main(what: str) -> int:
    """Be what the word says; the exit code."""
    return Batch().run() if what == "batch" else Rank().run()
