"""Drives the real supervisor.py over pipes, the way the keeper does over SSH."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from skyrig.launch import supervisor

PROGRAM = Path(supervisor.__file__)
COMMAND = [sys.executable, "-I", "-S", str(PROGRAM)]
PATIENCE = 20.0

Frame = dict[str, Any]


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> float:
    """Wait until `condition` holds; returns how many seconds that took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < patience, f"not within {patience} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - begin


class Follower:
    """One `start` or `attach` process; checks that the log arrives without gap and without overlap."""

    def __init__(
        self,
        *words: str,
        spec: Frame | None = None,
        offset: int = 0,
        read: bool = True,
        within: Sequence[str] = (),
        **popen: Any,
    ) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*within, *COMMAND, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen
        )
        self.offset = offset
        self.log = b""
        self.frames: list[Frame] = []
        self.first_log_at = 0.0
        self.moment = 0.0
        self.broken = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        if spec is not None:
            assert self.process.stdin
            self.process.stdin.write(json.dumps(spec).encode() + b"\n")
            self.process.stdin.flush()
        if read:
            self._reader.start()

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream
        while header := stream.readline():
            if not header.endswith(b"\n"):
                return
            frame = json.loads(header)
            self.moment = frame.get("t", self.moment)
            if frame["k"] == "log":
                data = stream.read(frame["len"])
                if len(data) < frame["len"]:
                    return
                self.first_log_at = self.first_log_at or time.monotonic() - self.began
                if frame["off"] != self.offset:
                    self.broken = f"log frame at {frame['off']}, expected at {self.offset}"
                self.offset += len(data)
                self.log += data
            elif frame["k"] != "ready":
                self.frames.append(frame)

    def frame(self, kind: str) -> Frame | None:
        """The last frame of a kind that arrived."""
        return next((frame for frame in reversed(self.frames) if frame["k"] == kind), None)

    def order(self, **words: Any) -> None:
        """Send a line on stdin."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        self.process.stdin.flush()

    def renew(self) -> None:
        """Renew the lease as the keeper does: from the last moment that the rank's side has told."""
        self.order(op="lease", t=self.moment)

    def saw(self, text: bytes, patience: float = PATIENCE) -> float:
        """Wait until the log holds `text`."""
        return until(lambda: text in self.log, f"{text!r} in the log, which ends {self.log[-300:]!r}", patience)

    def up(self) -> int:
        """Wait for the `up` frame; returns the daemon's pid."""
        until(lambda: self.frame("up"), "the up frame")
        frame = self.frame("up")
        assert frame
        return int(frame["pid"])

    def end(self, patience: float = PATIENCE) -> Frame:
        """Wait for the follower to end by itself; returns its last frame."""
        self.process.wait(patience)
        self._reader.join(patience)
        assert not self.broken, self.broken
        assert self.process.stderr
        assert self.frames, self.process.stderr.read()
        return self.frames[-1]

    def detach(self) -> None:
        """Close stdin, as a broken SSH connection does; the follower must leave at once."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(5)
        if self._reader.is_alive():
            self._reader.join(5)
        assert not self.broken, self.broken

    def close(self) -> None:
        """Leave nothing open."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stderr):
            if stream:
                stream.close()
        if self._reader.is_alive():
            self._reader.join(5)
        assert self.process.stdout
        self.process.stdout.close()


class Rank:
    """One rank's folder under a test's own folder, and everything that follows it.

    `within` is a command that runs the supervisor elsewhere, in a namespace say; `popen` goes to its followers.
    """

    def __init__(self, root: Path, *within: str, **popen: Any) -> None:
        self.within = within
        self.dir = root / "jobs" / "uid-1" / "rank-0"
        self.cwd = root / "work dir"
        self.popen = popen
        self.followers: list[Follower] = []

    def spec(self, script: str, **more: Any) -> Frame:
        """What the keeper sends."""
        spec = {"version": 1, "dir": str(self.dir), "files": {"run.sh": script}, "entry": "run.sh", "env": {}}
        spec |= {"cwd": str(self.cwd), "lease_s": 30, "log_limit": 1 << 20}
        files = more.pop("files", {})
        return spec | more | {"files": {"run.sh": script} | files}

    def start(self, script: str, *, read: bool = True, **more: Any) -> Follower:
        """`start` with this entry script."""
        return self._keep("start", spec=self.spec(script, **more), read=read)

    def attach(self, offset: int = 0, *, read: bool = True) -> Follower:
        """`attach` from an offset."""
        return self._keep("attach", str(self.dir), str(offset), offset=offset, read=read)

    def _keep(self, *words: str, **more: Any) -> Follower:
        follower = Follower(*words, within=self.within, **more, **self.popen)
        self.followers.append(follower)
        return follower

    def call(self, *words: str) -> Frame:
        """`status` or `end`."""
        done = subprocess.run(
            [*self.within, *COMMAND, words[0], str(self.dir), *words[1:]], capture_output=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        frame: Frame = json.loads(done.stdout)
        return frame

    def processes(self) -> list[int]:
        """Every live process of the job, wherever it went (told by its environment)."""
        mark = b"\0SKYRIG_RANK_DIR=" + os.fsencode(self.dir) + b"\0"
        return [pid for pid in pids() if mark in b"\0" + about(pid, "environ")]

    def record(self, local: int, code: int) -> str:
        """Shell text that leaves a process record the way rank.sh does."""
        name = f"$SKYRIG_RANK_DIR/proc/{local}.$BASHPID"
        return f'(echo {code} >"$SKYRIG_RANK_DIR/tmp.{local}"; mv "$SKYRIG_RANK_DIR/tmp.{local}" "{name}")\n'

    def close(self) -> None:
        """End the rank; nothing of it may be left, and its daemon must not have crashed."""
        if self.dir.exists():
            self.call("end", "0")
        for follower in self.followers:
            follower.close()
        assert not self.processes()
        errors = self.dir / "supervisor.err"
        assert not errors.exists() or not errors.read_text(), errors.read_text()


def pids() -> list[int]:
    """Every process that /proc shows."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def about(pid: int, what: str) -> bytes:
    """A file of /proc/PID; empty when the process is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""
