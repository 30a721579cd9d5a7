"""HAProxy's process: found, started, given another configuration, ended.

It stands by itself, in a session of its own: a master that answers at a socket in our folder and outlives whoever
started it, and a worker that does the work. Whoever answers at that socket is ours, so there is nothing to remember.
When the master is killed, its workers end with it, and the other way round.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from attrs import frozen

from skyrig.errors import SkyrigError
from skyrig.serve.balancer import files, runtime
from skyrig.serve.balancer.config import Means, Places
from skyrig.serve.balancer.runtime import Away, Family, Silent

OLDEST = (2, 4)
"""The first version with all that the configuration says."""

_DYNAMIC = (2, 6)
"""The first version that takes servers while it runs, with the checks that ours have."""

_USUAL = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_START_S = 20.0
_END_S = 1.0
"""How long HAProxy may take to end by TERM; it waits for nothing then."""
_GONE_S = 20.0
_LOOK_S = 0.02
_FAILED = re.compile("Loading failure|[Ff]ailed to load worker")
_USUAL_WORDS = re.compile("logger #|has no server available")
"""In alerts that say nothing of a start."""
_PATIENCE = 3
"""So many questions in a row a HAProxy may leave unanswered before it counts as dead: the machine may be busy."""
_MOST_THREADS = 4
_MOST_CONNECTIONS = 16_000
_MOST_LOG = 1 << 20


@frozen
class Program:
    """A HAProxy that can be run: where it lies, its version, and whether it tells metrics in Prometheus's form."""

    path: Path
    version: tuple[int, int]
    prometheus: bool

    def means(self) -> Means:
        """What it has here: threads and connections for a machine like this one."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = _MOST_CONNECTIONS * 4 if most == resource.RLIM_INFINITY else most
        room = max(100, min(_MOST_CONNECTIONS, (files - 200) // 3))
        return Means(min(_MOST_THREADS, cpus), room, self.prometheus, self.version >= _DYNAMIC)


def find() -> Program | None:
    """The HAProxy of this machine, on PATH or where systems put it; None where there is none that is new enough."""
    path = shutil.which("haproxy", path=os.pathsep.join((os.environ.get("PATH", ""), *_USUAL)))
    if path is None:
        return None
    try:
        said = subprocess.run([path, "-vv"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"version (\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    return Program(Path(path), version, "prometheus-exporter" in said) if version >= OLDEST else None


class Process:
    """The HAProxy that runs, or shall run, the configuration at `where`."""

    def __init__(self, where: Places) -> None:
        self._where = where
        self._log = where.folder / "haproxy.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def master(self) -> Path:
        """The master's socket."""
        return self._where.sockets / "master.sock"

    @property
    def worker(self) -> Path:
        """The socket of the worker that takes connections."""
        return self._where.sockets / "stats.sock"

    async def family(self, patience_s: float = runtime.ANSWER_S) -> Family | None:
        """The processes; None where it does not run, or gives no answer within `patience_s`."""
        if self._child is not None:
            self._child.poll()  # else what was killed stays a zombie of ours
        try:
            return runtime.family(await runtime.ask(self.master, "show proc", patience_s))
        except Away:
            return None

    async def stamp(self) -> str | None:
        """The description of the configuration that runs; None where none does, or where it has long been silent."""
        for _ in range(_PATIENCE):
            try:
                return runtime.stamp(await runtime.ask(self.worker, "show info"))
            except Silent:
                continue
            except Away:
                break
        return None

    async def check(self, program: Program, config: Path) -> None:
        """SkyrigError with HAProxy's words where it would refuse `config`."""
        child = await asyncio.create_subprocess_exec(
            *(str(program.path), "-c", "-f", str(config)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await child.communicate()
        if child.returncode:
            raise SkyrigError(f"HAProxy refuses its configuration: {_reason(said.decode(errors='replace'))}")

    async def start(self, program: Program, stamp: str) -> None:
        """Start it on the configuration that lies there, and wait until its `stamp` is told."""
        await self.end()  # one that hangs, or was killed half-way, would hold the port
        _check_free(_ports(self._where.config.read_text()))
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            self._child = subprocess.Popen(  # noqa: ASYNC220  (milliseconds, and it shall outlive the event loop)
                [str(program.path), "-W", "-S", f"unix@{self.master}", "-f", str(self._where.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._where.folder,
                start_new_session=True,
            )
        finally:
            os.close(log)
        files.write(self._where.folder / "haproxy.pid", str(self._child.pid))
        await self._until(stamp, 0)

    async def reload(self, stamp: str, before: str) -> None:
        """Have it take the configuration that lies there after the text `before`; workers that it has finish what they
        are at. SkyrigError where it does not: it goes on as before then."""
        _check_free(_ports(self._where.config.read_text()) - _ports(before))  # HAProxy pauses its listeners to try
        self.trim()
        said = self._log.stat().st_size if self._log.exists() else 0
        with contextlib.suppress(Away):  # the master answers no more once it starts itself again
            await runtime.ask(self.master, "reload")
        await self._until(stamp, said)

    async def _until(self, stamp: str, said: int) -> None:
        """Wait until `stamp` is told. What is in the log from `said` on is what went wrong."""
        deadline = time.monotonic() + _START_S
        while await self.stamp() != stamp or await self.family() is None:  # the master starts itself again, too
            words = self._words(said)
            ended = self._child is not None and self._child.poll() is not None
            if ended or _FAILED.search(words) or time.monotonic() > deadline:
                raise SkyrigError(f"HAProxy does not start: {_reason(words)}")
            await asyncio.sleep(_LOOK_S)

    def _words(self, offset: int) -> str:
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as file:
            file.seek(offset)
            text = file.read().decode(errors="replace")
            return "\n".join(line for line in text.splitlines() if not _USUAL_WORDS.search(line))
        return ""

    def trim(self) -> None:
        """Keep the log small: what HAProxy says in it has been said."""
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > _MOST_LOG:
                os.truncate(self._log, 0)

    async def end(self) -> None:
        """End it, whatever state it is in."""
        pid = await self._master()
        if pid is None:
            return
        for number, patience_s in ((signal.SIGTERM, _END_S), (signal.SIGKILL, _GONE_S)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            deadline = time.monotonic() + patience_s
            while _group_lives(pid) and time.monotonic() < deadline:
                if self._child is not None:
                    self._child.poll()
                await asyncio.sleep(_LOOK_S)
            if not _group_lives(pid):
                return
        raise SkyrigError(f"HAProxy (process {pid}) does not end")

    async def _master(self) -> int | None:
        """Pid of the master: as it tells, or where it hangs, as it was noted down and is still one of ours."""
        family = await self.family(_END_S)
        if family is not None:
            return family.master
        try:
            pid = int((self._where.folder / "haproxy.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self._where.config) in _command_line(pid) else None


def _group_lives(group: int) -> bool:
    """Whether a process of the group is there; one that has ended and was not yet waited for counts."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-group, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group that holds zombies alone
        return False
    return True


def _command_line(pid: int) -> str:
    """Arguments of a process, "" where there is none."""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout


def _ports(config: str) -> set[int]:
    """The ports that a configuration opens."""
    return {int(port) for port in re.findall(r"^ +bind :(\d+)", config, re.MULTILINE)}


def _check_free(ports: set[int]) -> None:
    """SkyrigError where one of the ports cannot be had."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
                probe.listen()
            except OSError as error:
                why = f"port {port} cannot be opened for the endpoint: {error.strerror}"
                raise SkyrigError(why, hint=_advice(error)) from error


def _reason(said: str) -> str:
    """The line of HAProxy's output that says what is wrong, without its marks."""
    lines = [line for line in said.splitlines() if "[ALERT]" in line] or said.splitlines()[-1:]
    return re.sub(r"^\[\w+\]\s*\(\d+\)\s*:\s*(\[\S+ : )?", "", lines[0]).strip() if lines else "it says nothing"


def _advice(error: OSError) -> str | None:
    if error.errno == errno.EADDRINUSE:
        return "another program has it: end that, or take another port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "one below 1024 is for root alone: take a higher one, or set net.ipv4.ip_unprivileged_port_start"
    return None
