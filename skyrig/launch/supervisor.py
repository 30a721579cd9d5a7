"""Runs one rank of a job on its node, and outlives whoever started it.

This one file is copied to nodes and run there as `python3 -I -S supervisor.py ...` by Python 3.8 or newer on Linux or
macOS, so it uses the standard library alone and imports little: a rank's first output should not wait for it.

::

    start                 one JSON line on stdin (the rank's spec); starts the rank unless it was started before, then
                          goes on as `attach` from the spec's `offset`
    attach DIR OFFSET     the rank's log from byte OFFSET, its process records and its end, as frames on stdout
    end DIR [GRACE]       ends the rank (TERM, after GRACE seconds KILL), waits, prints its last frame
    status DIR            prints one frame: `up`, `exit` or `gone`

Who is who: the **daemon** drains the job's output, serves attachers on DIR/sock and holds the lease; its child, the
**warden**, is the parent of the entry script. Both adopt orphans, so a process that double-forks or calls setsid stays
in the tree, and each ends the tree if the other one is killed.

Files in DIR (0700): those of the spec (NAME, or FOLDER/NAME, which can be run); `log` (the spec's `log_link` becomes a
link to it); `proc/LOCAL.PID` (exit codes, written by rank.sh); `result` (appears, whole and synced, when
the rank has ended); `daemon.lock` (locked while daemon or warden lives; holds the daemon's pid); `started` (made once:
no rank starts twice); `sock`; `supervisor.err` (a traceback, should the daemon crash). Files that the spec has under
`forget` are removed before the rank starts. Environment values are never
written: they go from stdin to the entry script's environment. Where SKYRIG_CONTAINER is set, the entry script sees the
files of the node's container (see `contained`). SKYRIG_GRACE_S tells it what it has between TERM and KILL,
SKYRIG_NOTICE_FILE where a notice would appear (see Daemon.heed). Whoever touches the file SKYRIG_HEARTBEAT_FILE gives a
sign of life.

Frames are one JSON line each, `log` is followed by `len` bytes: ready (`start` waits for the spec), up, log, proc,
lease (a renewal went through), alive (a sign of life; told once a second at most), exit, gone. `exit` also has
`log_cut` (whether output is missing), `dropped` (how many bytes of it), `size` (bytes of the log, and of output that
the disk took not even a mark of) and `left` (processes that even KILL did not end), and `reason` where `why` is
"mount".

Where buckets are attached to the node, the spec's `watch` names the file below ~/.skyrig that knows of them
(skyrig.launch.mounting.watch), and `mounts` has the places where the job had some attached: one that is not there any
more when the rank starts fails it, others are told of. A mount that dies ends the rank, and one that exits with 0 has
ended when the files that it wrote are in their buckets; what the keeper says meanwhile is heard.

The **lease** is strict. ready, up and lease carry `t`, this node's clock as they were sent; the keeper sends the newest
`t` it has seen back, in the spec and in `{"op": "lease", "t": T}` on stdin, and the lease then runs until T + lease_s.
So it is counted from before the keeper heard of us: however long an order was on its way, the rank is dead by the
time at which the keeper, who counts from when it heard, may call it lost. TERM comes some seconds before.

The log is the output byte for byte while it fits `log_limit`. What does not fit is dropped from the middle: the first
part stays, then a line `[skyrig] N bytes of output are missing here (REASON)`, then the last 64 KiB (less under a small
limit), which are kept in memory until the end. The same line marks what a full or too slow disk could not take.
"""

# ruff: noqa: SIM105  (contextlib, like pathlib, costs start-up time, which every job waits for)
from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:  # as in typing, whose import is saved
    from collections.abc import Callable
    from typing import Any, NoReturn

    Frame = dict[str, Any]
    Process = tuple[int, str]

GRACE_S = 5.0
"""Seconds between TERM and KILL where the caller names none."""
LEFTOVER_GRACE_S = 2.0
"""The same for what the entry script left behind when it ended by itself."""
KILL_WAIT_S = 10.0
"""How long to wait for processes that KILL does not end (uninterruptible, or another user's) before giving up."""
SECOND_LOOK_S = 0.2
"""How long a lease that is about to run out is looked at again before it ends the rank: where this machine stood still
for a moment, a renewal may be on its way to us."""
DISK_WAIT_S = 15.0
"""How long the end of a rank waits for a disk that does not answer."""
TAIL = 64 * 1024
"""Bytes of output that are kept in memory while the log takes no more, to be shown at the end."""
BACKLOG = 32 * 1024 * 1024
"""Bytes of output that may wait for a slow disk."""
CHUNK = 256 * 1024
MARKS = 512
LINE = 4096
RESERVED = 16 * 1024
MAX_ATTACHED = 200
MOUNTS = "~/.skyrig/mounts"
MOUNT_CODE = 5
"""Code of a rank that a mount of its node has failed."""
CONTAINER = "/opt/skyrig/container"
"""The node's own program that starts its container."""
CLONE_NEWNS = 0x00020000
LIBRARIES = b"LD_LIBRARY_PATH"
OWN_FILES = {"log", "proc", "result", "result.part", "daemon.lock", "started", "sock", "supervisor.err"}
OWN_FILES |= {"notice", "notice.part", "heartbeat"}
BEAT_S = 1.0
"""How often it is looked for a sign of life."""
SHELLS = {b"bash", b"sh", b"dash"}


def clock() -> float:
    """Seconds on a clock that nobody sets and that goes on while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def raw(text: str) -> bytes:
    """The bytes that `text` stands for (UTF-8, surrogate escapes for anything else), whatever the locale says."""
    return text.encode("utf-8", "surrogateescape")


def aged(frame: Frame) -> Frame:
    """`frame` with each time `at` on our clock turned into `age_s`, seconds before now."""
    out = {key: aged(value) if isinstance(value, dict) else value for key, value in frame.items() if key != "at"}
    if "at" in frame:
        out["age_s"] = round(max(0.0, clock() - frame["at"]), 3)
    return out


def line(frame: Frame) -> bytes:
    """`frame` as one line of JSON."""
    return json.dumps(frame, separators=(",", ":")).encode("ascii") + b"\n"


# --- the tree of processes -------------------------------------------------------------------------------------------


def adopt_orphans() -> None:
    """Become the parent of every orphaned descendant (Linux; elsewhere the environment marks the tree's members)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_child_subreaper = 36
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def shown_as(words: bytes) -> None:
    """Let ps and `pkill -f` see this process, and its forks, under these words, none of which is `python`: a job that
    ends its python processes by name must not hit us. Linux reads the words from our own memory; elsewhere all stays
    as it is."""
    if sys.platform != "linux":
        return
    import ctypes

    with open("/proc/self/stat", "rb") as stat, open("/proc/self/cmdline", "rb") as cmdline:
        mine = stat.read().rpartition(b")")[2].split()
        start, room = int(mine[45]), int(mine[46]) - int(mine[45])
        shown = cmdline.read()
    if not len(words) < room == len(shown) or ctypes.string_at(start, room) != shown:
        return
    ctypes.memset(start, 0, room)
    ctypes.memmove(start, words, len(words))
    with open("/proc/self/comm", "wb") as comm:
        comm.write(b"skyrig")


def birth(pid: int) -> tuple[int, str, str] | None:
    """Parent, state and start time of a process; None when there is none. Start time and pid name it for good."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0].decode(), fields[19].decode()


def called(pid: int) -> bytes:
    """Name of the program that a process runs, where the system says it."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().strip()
    except OSError:
        return b""


def table_of_proc() -> dict[int, tuple[int, str, str]]:
    """Every live process this machine shows: pid -> parent, state, start time."""
    found = ((int(name), birth(int(name))) for name in os.listdir("/proc") if name.isdigit())
    return {pid: about for pid, about in found if about is not None}


def table_of_ps(text: str, marker: str, adopter: int) -> dict[int, tuple[int, str, str]]:
    """The same from `ps -axwwE -o pid=,ppid=,state=,command=`; `marker` in the environment tells orphans of the tree.

    They count as children of `adopter`. The start time stays empty: there pids come round only after 99 998 others.
    """
    table = {}
    for row in text.splitlines():
        pid, parent, state, command = (*row.split(None, 3), "", "", "", "")[:4]
        if pid.isdigit() and parent.isdigit():
            marked = f" {marker} " in f" {command} "
            table[int(pid)] = (adopter if marked else int(parent), state[:1], "")
    return table


def process_table(marker: str, adopter: int) -> dict[int, tuple[int, str, str]]:
    """pid -> parent, state, start time of every process that this system shows."""
    if sys.platform == "linux":
        return table_of_proc()
    import subprocess

    with subprocess.Popen(["ps", "-axwwE", "-o", "pid=,ppid=,state=,command="], stdout=subprocess.PIPE) as ps:
        text = ps.communicate()[0].decode("utf-8", "replace")
    table = table_of_ps(text, marker, adopter)
    table.pop(ps.pid, None)
    return table


class Tree:
    """The descendants of this process but `spare` (the warden, whose children do belong to it)."""

    def __init__(self, directory: bytes) -> None:
        self.marker = "SKYRIG_RANK_DIR=" + os.fsdecode(directory)
        self.spare = 0
        self.childless = False

    def empty(self) -> bool:
        """Whether nobody is left. A list of processes can miss one that forks and exits while it is made. Where orphans
        come to us it is certain without one: who has no child has no descendant. The daemon, which has the warden for a
        child, must ask that one."""
        if sys.platform == "linux" and not self.spare:
            self.reap()
            return self.childless
        return not self.members()

    def members(self) -> set[Process]:
        """Who is alive now; the dead that wait for their parent do not count."""
        me = os.getpid()
        table = process_table(self.marker, me)
        children: dict[int, list[int]] = {}
        for pid, (parent, _, _) in table.items():
            children.setdefault(parent, []).append(pid)
        found, todo = set(), [me]
        while todo:
            for pid in children.pop(todo.pop(), []):
                todo.append(pid)
                if pid not in (self.spare, me) and table[pid][1] not in "ZX":
                    found.add((pid, table[pid][2]))
        return found

    def send(self, signum: int) -> None:
        """Signal every member once. They are stopped first, so that none slips away by forking meanwhile."""
        stopped: set[Process] = set()
        for _ in range(20):
            fresh = self.members() - stopped
            if not fresh:
                break
            for process in fresh:
                deliver(process, signal.SIGSTOP)
            stopped |= fresh
        for process in stopped:
            deliver(process, signum)
        for process in stopped:
            deliver(process, signal.SIGCONT)

    def tell(self, signum: int) -> None:
        """Signal every member but shells, which would end of it and take from the others what time they have."""
        for process in self.members():
            if called(process[0]) not in SHELLS:
                deliver(process, signum)

    def kill(self, patience: float) -> int:
        """KILL until nobody is left or `patience` seconds are over; returns how many are left."""
        deadline = clock() + patience
        while not self.empty():
            self.send(signal.SIGKILL)
            self.reap()
            if clock() > deadline:
                return len(self.members())
            time.sleep(0.01)  # the condition is the loop's: death takes the kernel a moment
        return 0

    def reap(self) -> dict[int, int]:
        """Wait for every child that has ended: pid -> wait status."""
        ended: dict[int, int] = {}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return ended
            if pid == 0:
                self.childless = False
                return ended
            ended[pid] = status
            if pid == self.spare:
                self.spare = 0


PIDFD = hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")
"""Whether this Python can signal by descriptor: 3.8 cannot, nor a newer one built on an old system, like the head's."""


def deliver(process: Process, signum: int) -> None:
    """Signal exactly this process: another one that has got its pid by now is left alone."""
    pid, start = process
    pidfd = -1
    try:
        if sys.platform == "linux" and PIDFD:
            try:
                pidfd = os.pidfd_open(pid)
            except OSError:
                pidfd = -1  # an old kernel, a sandbox, or gone: the check below is what is left
        about = birth(pid) if start else None
        if start and (about is None or about[2] != start):
            return
        if sys.platform == "linux" and pidfd >= 0:
            signal.pidfd_send_signal(pidfd, signum)
        else:
            os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass  # it ended first, or it is another user's (sudo): counted as left in the end
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor above 2 that is not in `keep`."""
    for name in os.listdir("/dev/fd"):
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the listing's own


def wake_on_child() -> tuple[int, int]:
    """A pipe whose first end becomes readable whenever a child ended, or somebody wrote into the second."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable, writable


def kept(state: bytes) -> int:
    """Pid of the process that keeps the container, which `state` names with its start time; 0 where none does."""
    try:
        with open(state, "rb") as file:
            pid, start = file.read().split()
        about = birth(int(pid))
    except (OSError, ValueError):
        return 0
    return int(pid) if about is not None and about[2] == start.decode() else 0


def contained(state: bytes, env: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Go into the node's container, as root there; returns the environment of who has `env` in it. Only its files are
    entered: this stays a descendant of the warden's, in its session and with its limits, and can use all devices."""
    import ctypes

    home, folder = os.path.expanduser(b"~"), os.getcwdb()
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if not kept(state):  # somebody stopped it, or docker itself
        import subprocess

        subprocess.run([CONTAINER], stdout=subprocess.DEVNULL, check=False)
    pid = kept(state)
    if not pid:
        raise OSError("the node's container does not run")
    with open(f"/proc/{pid}/environ", "rb") as file:
        around = dict(each.split(b"=", 1) for each in file.read().split(b"\0") if b"=" in each)
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/mnt", "rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "the node's container cannot be entered")
    os.chdir(folder)
    libraries = [values[LIBRARIES] for values in (env, around) if values.get(LIBRARIES)]  # the fabric's, the image's
    merged = {**around, b"HOME": home, b"USER": b"root", b"LOGNAME": b"root", **env}
    return {**merged, LIBRARIES: b":".join(libraries)} if libraries else merged


def run_entry(spec: Frame, directory: bytes, output: int) -> NoReturn:
    """Become the entry script, in a session of its own."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for signum in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(signum, signal.SIG_DFL)
        env = {raw(name): raw(value) for name, value in spec["env"].items()}
        env[b"SKYRIG_RANK_DIR"] = directory
        env[b"SKYRIG_NOTICE_FILE"] = os.path.join(directory, b"notice")
        env[b"SKYRIG_HEARTBEAT_FILE"] = os.path.join(directory, b"heartbeat")
        env[b"SKYRIG_GRACE_S"] = b"%g" % float(spec["grace_s"])
        workdir = os.path.expanduser(raw(spec["cwd"]))
        os.makedirs(workdir, exist_ok=True)
        os.chdir(workdir)
        state = os.environb.get(b"SKYRIG_CONTAINER")
        env = contained(state, env) if state else {**os.environb, **env}
        env = {b"PYTHONUNBUFFERED": b"1", **env}
        os.execve(b"/bin/bash", [b"/bin/bash", os.path.join(directory, raw(spec["entry"]))], env)
    except BaseException as problem:  # noqa: BLE001  (this is a forked copy: nothing may return into the caller)
        os.write(2, raw(f"[skyrig] the job could not start: {problem}\n"))
    os._exit(126)


def ward(spec: Frame, directory: bytes, output: int, report: int, life: int) -> NoReturn:
    """The warden: start the entry script, report its wait status, end the tree when the daemon lets go of `life`."""
    adopt_orphans()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # at a shutdown everybody gets it; ending is the daemon's to do
    tree = Tree(directory)
    wake, _ = wake_on_child()
    entry = os.fork()
    if entry == 0:
        run_entry(spec, directory, output)
    os.close(output)
    while True:
        ready = select.select([wake, life], [], [])[0]
        if wake in ready:
            os.read(wake, 4096)
        status = tree.reap().get(entry)
        if status is not None:
            os.write(report, b"%d" % status)
        if life in ready:
            tree.kill(KILL_WAIT_S)
            os._exit(0)


# --- what is on disk -------------------------------------------------------------------------------------------------


class Disk(threading.Thread):
    """Writes and watches files, in a thread of its own: a disk that hangs must not stop job, lease or ending.

    Output waits in memory: up to BACKLOG bytes while the disk takes it, the last `tail` bytes while `_reason` says why
    it takes none. `_gap` counts what was dropped just before the first waiting byte.
    """

    def __init__(self, limit: int, wake: int) -> None:
        super().__init__(daemon=True)
        self.limit = limit
        self.tail = min(TAIL, limit // 4)
        self.wake = wake
        self.log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = self.dropped = 0
        self.records: list[Frame] = []
        self._names: set[str] = set()
        self.beats = 0
        self._touched: int | None = None
        self._look_at = self._retry_at = self._beat_at = 0.0
        self._looked_at = clock()
        self._waiting: deque[bytes] = deque()
        self._length = self._gap = 0
        self._reason = ""
        self._line_begins = self._fed_line = True
        self._change = threading.Condition()
        self._asked = self._answered = 0
        self._closing = False
        self._result = b""

    def note(self, text: str) -> None:
        """Take a line of ours, on a line of its own."""
        self.feed(raw(f"{'' if self._fed_line else chr(10)}[skyrig] {text}\n"))

    def feed(self, data: bytes) -> None:
        """Take output; never waits."""
        self._fed_line = data.endswith(b"\n")
        with self._change:
            self._waiting.append(data)
            self._length += len(data)
            self._trim()
            self._change.notify_all()

    def ask(self, patience: float, *, closing: bool = False, result: bytes = b"") -> None:
        """Have records read now (`closing`: and the tail written; `result`: and stored); wait `patience` s at most."""
        with self._change:
            self._closing = self._closing or closing
            self._result = result
            self._asked += 1
            mine = self._asked
            self._change.notify_all()
            self._change.wait_for(lambda: self._answered >= mine, patience)

    def run(self) -> None:
        """Write what waits at once, look for records every 50 ms."""
        while True:
            with self._change:
                self._change.wait_for(self._due, 0.05)
                asked, closing, result = self._asked, self._closing, self._result
            before = self.size, len(self.records), self.beats
            self._write_waiting(closing)
            if asked > self._answered or clock() >= self._look_at:
                self._look()
            if clock() >= self._beat_at:
                self._feel()
            if (self.size, len(self.records), self.beats) != before:
                try:
                    os.write(self.wake, b"\0")
                except BlockingIOError:
                    pass  # full: the daemon is about to wake anyway
            if not result or store(self.log, result):
                with self._change:
                    self._answered = asked
                    self._change.notify_all()

    @property
    def lost(self) -> int:
        """Bytes of output that are not in the log; final once the log is closed."""
        return self.dropped + self._length

    @property
    def unmarked(self) -> int:
        """Bytes of output that are neither in the log nor marked there: the disk took not even the mark."""
        return self._gap + self._length

    def _due(self) -> bool:
        return self._asked > self._answered or bool(self._waiting and clock() >= self._retry_at)

    def _trim(self) -> None:
        cap = self.tail if self._reason else BACKLOG
        while self._waiting and self._length - len(self._waiting[0]) >= cap:
            self._lose(len(self._waiting[0]))
            self._length -= len(self._waiting.popleft())

    def _lose(self, count: int) -> None:
        self._gap += count
        self.dropped += count

    def _write_waiting(self, closing: bool) -> None:
        """Write what the log may take now, after a mark for what is missing before it."""
        with self._change:
            if not self._waiting or (clock() < self._retry_at and not closing):
                return
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._length = 0
            spare = max(0, self.limit - self.size - MARKS)
            if closing and len(data) > spare:
                begin = len(data) - spare
                begin = data.find(b"\n", begin, begin + LINE) + 1 or begin
                self._lose(begin)
                data = data[begin:]
            gap, self._gap = self._gap, 0
        why = self._reason or "the disk was too slow"
        mark = self._mark(f"{gap} bytes of output are missing here ({why})") if gap else b""
        room = len(data) if closing else max(0, spare - self.tail - len(mark))
        done, problem = self._put(mark + data[:room])
        rest = data[max(0, done - len(mark)) :]
        with self._change:
            self._hold(rest, gap if done < len(mark) else 0)
            self._reason = problem or (f"log limit of {self.limit} bytes" if rest else "")
            self._retry_at = clock() + 0.5 if problem else float("inf") if rest else 0.0
            self._trim()
        if rest and not problem:
            self._put(self._mark("the log is at its limit; the end of what follows is shown when the job ends"))

    def _hold(self, rest: bytes, gap: int) -> None:
        """Put back what could not be written. If output was dropped meanwhile, the gap swallows it: order is kept."""
        if self._gap:
            self.dropped += len(rest)
            self._gap += gap + len(rest)
        else:
            self._gap = gap
            if rest:
                self._waiting.appendleft(rest)
                self._length += len(rest)

    def _mark(self, text: str) -> bytes:
        return raw(f"{'' if self._line_begins else chr(10)}[skyrig] {text}\n")

    def _put(self, data: bytes) -> tuple[int, str]:
        """Append to the log; returns how many bytes it took and why not more."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self.log, data[done : done + CHUNK])
        except OSError as problem:
            return done, os.strerror(problem.errno or 0)
        finally:
            self.size += done
            if done:
                self._line_begins = data[done - 1 : done] == b"\n"
        return done, ""

    def _feel(self) -> None:
        """Count a sign of life if there was one since the last look. Whether the file's time is later does not matter:
        clocks are set."""
        self._beat_at = clock() + BEAT_S
        try:
            touched = os.stat("heartbeat").st_mtime_ns
        except OSError:
            return  # none yet
        self.beats += touched != self._touched
        self._touched = touched

    def _look(self) -> None:
        """Read the process records that appeared since the last look: that is how old they can be at most, whatever the
        wall clock says."""
        now, longest = clock(), clock() - self._looked_at
        self._looked_at, self._look_at = now, now + 0.05
        try:
            fresh = sorted(set(os.listdir("proc")) - self._names)
        except OSError:
            return  # the job removed its own folder: there is nothing to read
        for name in fresh:
            local, _, pid = name.partition(".")
            if not (local.isdigit() and pid.isdigit()):
                continue
            try:
                with open(f"proc/{name}", "rb") as file:
                    code, age = int(file.read(32)), time.time() - os.fstat(file.fileno()).st_mtime
            except (OSError, ValueError):
                continue  # not a whole record (yet): looked at again the next time
            self._names.add(name)
            at = now - min(max(0.0, age), longest)
            self.records.append({"k": "proc", "local": int(local), "code": code, "at": at})


def sync(path: str, content: bytes = b"") -> None:
    """Bring a file or folder to the disk itself, after replacing what it holds by `content` if there is any."""
    fd = os.open(path, os.O_RDWR if content else os.O_RDONLY)
    try:
        if content:
            os.pwrite(fd, content, 0)
            os.ftruncate(fd, len(content))
        os.fsync(fd)
    finally:
        os.close(fd)


def store(log: int, result: bytes) -> bool:
    """Make the result appear on disk whole, after the log; False while the disk does not take it."""
    try:
        os.fsync(log)
    except OSError:
        pass  # a log that the disk has lost is no reason to lose the result too
    try:
        sync("result.part", result)
        os.rename("result.part", "result")
        sync(".")
    except OSError:
        return False
    return True


def publish(notice: bytes) -> None:
    """Have a notice appear, whole, in the place of any before it."""
    with open("notice.part", "wb") as file:
        file.write(notice)
    os.replace("notice.part", "notice")


# --- the daemon ------------------------------------------------------------------------------------------------------


class Peer:
    """One attached process: what it says arrives in lines, what it is told waits here until its socket takes it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.heard = b""
        self.out = b""
        self.records = 0
        self.alive = True

    def fileno(self) -> int:
        """For select."""
        return self.sock.fileno()

    def say(self, data: bytes) -> None:
        """Send now what the socket takes, the rest later."""
        self.out += data
        try:
            self.out = self.out[self.sock.send(self.out) :] if self.out else b""
        except BlockingIOError:
            pass  # select tells when it takes more
        except OSError:
            self.alive = False

    def listen(self) -> list[str]:
        """The whole lines that arrived."""
        try:
            data = self.sock.recv(1 << 16)
            self.alive = self.alive and bool(data)
        except BlockingIOError:
            return []
        except OSError:
            self.alive = False
            return []
        *lines, self.heard = (self.heard + data).split(b"\n")
        return [text.decode("ascii", "replace") for text in lines]


class NodeLock:
    """Tells when the process that holds SKYRIG_NODE_LOCK is gone. Without the variable, or its file, it never is."""

    def __init__(self) -> None:
        try:
            self.fd = os.open(os.environ["SKYRIG_NODE_LOCK"], os.O_RDONLY)
        except (KeyError, OSError):
            self.fd = -1

    def free(self) -> bool:
        """Whether the lock can be taken (it is given back at once)."""
        if self.fd < 0:
            return False
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(self.fd, fcntl.LOCK_UN)
        except OSError:
            return False
        return True


def has_mounts() -> bool:
    """Whether buckets are attached to this node."""
    base = os.path.expanduser(MOUNTS)
    try:
        return any(os.path.exists(os.path.join(base, name, "mount.json")) for name in os.listdir(base))
    except OSError:
        return False


class Daemon:
    """Watches over one rank until nothing of it runs; the working directory is the rank's folder."""

    def __init__(self, spec: Frame, directory: bytes, lock: int, listener: socket.socket) -> None:
        self.listener = listener
        self.peers: list[Peer] = []
        self.tree = Tree(directory)
        self.node = NodeLock()
        self.grace = float(spec["grace_s"])
        self.lease_s = float(spec["lease_s"])
        self.lease_until = float("inf") if self.lease_s <= 0 else 0.0
        self.doubt_until = float("inf")
        self._renew(spec["t"])
        self.status: int | None = None
        self.ended_at = 0.0
        self.why = ""
        self.pause = 0.01
        self.kill_at = float("inf")
        self.left = 0
        self.terminated = False
        self.watch: Any = None
        self.broken_off = ""
        self.reason = ""
        self.beats = 0
        self.signalled = spec["env"].get("SKYRIG_NOTICE_SIGNAL") == "TERM"
        self.noticed: set[str] = set()
        adopt_orphans()
        self.report = self._start_warden(spec, directory, lock)
        self.wake, wake_end = wake_on_child()
        signal.signal(signal.SIGTERM, self._on_term)
        self.disk = Disk(int(spec["log_limit"]), wake_end)
        self.disk.start()
        if spec["watch"] and (spec["mounts"] or has_mounts()):
            self._watch(os.path.expanduser(os.path.join("~/.skyrig", spec["watch"])), spec["mounts"], wake_end)

    def _start_warden(self, spec: Frame, directory: bytes, lock: int) -> int:
        """Fork the warden; it keeps the lock too, so that a free lock means that nothing of the rank runs."""
        self.output, output = os.pipe()
        report, report_end = os.pipe()
        life, self.life = os.pipe()
        self.tree.spare = os.fork()
        if self.tree.spare == 0:
            close_all_but({lock, output, report_end, life})
            ward(spec, directory, output, report_end, life)
        for fd in (output, report_end, life):
            os.close(fd)
        if sys.platform == "linux":
            f_setpipe_sz = 1031
            try:
                fcntl.fcntl(self.output, f_setpipe_sz, 1024 * 1024)
            except OSError:
                pass  # a user's allowance for pipes is spent: the usual 64 KiB do
        os.set_blocking(self.output, False)
        return report

    def _watch(self, path: str, own: list[str], wake: int) -> None:
        """Have the node's mounts watched."""

        def wake_up() -> None:
            try:
                os.write(wake, b"\0")
            except BlockingIOError:
                pass  # full: we are about to wake anyway

        try:
            with open(path, encoding="utf-8") as file:
                exec(compile(file.read(), path, "exec"), {})
            self.watch = sys.modules["skyrig.launch.mounting.watch"].Watch(wake_up, own=own)
        except (OSError, KeyError) as problem:
            self.disk.note(f"the node's mounts are not watched: {problem}")
            return
        self.watch.start()

    def _mind_mounts(self) -> None:
        """Pass on what the watch has to say; a mount that died ends the rank."""
        for text in self.watch.news():
            self.disk.note(text)
        if self.watch.gone and not self.why:
            self._fail(self.watch.gone)
            self.end("mount", self.grace)

    def _fail(self, reason: str) -> None:
        self.reason = reason
        self.disk.note(reason)

    def _settled(self) -> bool:
        """Whether nothing is to be waited for any more, now that nothing of the rank runs: files of a rank that came
        out well, on their way to their buckets. One that did not may have failed because of a mount."""
        if self.watch is None or self.reason or self.why != "exit":
            return True
        if self._code():
            gone = self.watch.look()
            for text in self.watch.news():
                self.disk.note(text)
            if gone:
                self._fail(gone)
            return True
        self.watch.settle()
        self._mind_mounts()
        if self.watch.done and self.watch.problem:
            self._fail(self.watch.problem)
        return bool(self.watch.done or self.broken_off)

    def run(self) -> None:
        """Until the tree has ended and its result is on disk."""
        while not self._over():
            self._turn()
        for _ in range(64):  # more than a pipe holds; not for ever, should one writer have outlived KILL
            if not self._drain():
                break
        self.disk.ask(DISK_WAIT_S, closing=True)
        self._tell_end()

    def _turn(self) -> None:
        reading: list[Any] = [self.wake, self.listener, *self.peers]
        reading += [fd for fd in (self.output, self.report) if fd >= 0]
        waiting = [peer for peer in self.peers if peer.out]
        due = self.doubt_until if self.doubt_until < float("inf") else self._last_order()
        pause = max(0.0, min(due - clock(), 0.2 if self.node.fd >= 0 else 1.0))
        if self.why:
            pause = self.pause = min(0.1, self.pause * 1.3)
        ready = select.select(reading, waiting, [], pause)
        for peer in ready[1]:
            peer.say(b"")
        for source in ready[0]:
            if source == self.wake:
                os.read(self.wake, 4096)
            elif source == self.output:
                self._drain()
            elif source == self.report:
                self._hear_warden()
            elif source is self.listener:
                self._accept()
            else:
                self._hear(source)
        self.tree.reap()
        self._tell()
        if self.watch is not None:
            self._mind_mounts()
        if self.terminated:
            self.end("ended", self.grace)
        self._mind_lease()
        if self.node.free():
            self.end("node", self.grace)

    def _on_term(self, *_: object) -> None:
        self.terminated = True  # the machine shuts down, say: the loop, which the signal woke, ends the rank

    def _drain(self) -> bool:
        """Pass on output that is there; False when there is none now, or never will be again."""
        try:
            data = os.read(self.output, CHUNK) if self.output >= 0 else b""
        except BlockingIOError:
            return False
        if data:
            self.disk.feed(data)
        elif self.output >= 0:
            os.close(self.output)
            self.output = -1
        return bool(data)

    def _hear_warden(self) -> None:
        """The entry script's wait status, or the end of a warden that was killed before it knew one."""
        told = os.read(self.report, 64)
        if self.status is None:
            self.status = int(told) if told else signal.SIGKILL
            self.ended_at = clock()
            self.end("exit", LEFTOVER_GRACE_S)
        if not told:
            os.close(self.report)
            self.report = -1

    def _accept(self) -> None:
        try:
            peer = Peer(self.listener.accept()[0])
        except OSError:
            return  # it has gone again
        if len(self.peers) >= MAX_ATTACHED:
            self.peers.pop(0).sock.close()  # most probably forgotten; if not, it comes back
        self.peers.append(peer)
        peer.say(line({"k": "up", "pid": os.getpid()}))

    def _hear(self, peer: Peer) -> None:
        for words in peer.listen():
            self._obey(*words.split())

    def _last_order(self) -> float:
        """When TERM is due, so that the rank has the time of its grace, or a third of the lease, before KILL."""
        return self.lease_until - min(self.grace, self.lease_s / 3)

    def _mind_lease(self) -> None:
        """End the rank in time: dead when its lease has run out. What was sent to us meanwhile is heard first."""
        if clock() < self._last_order():
            self.doubt_until = float("inf")
            return
        for peer in self.peers:
            self._hear(peer)
        now, kill_at = clock(), self.lease_until - self.lease_s / 10
        if now < self._last_order():
            return
        if self.doubt_until == float("inf"):
            self.doubt_until = now + min(SECOND_LOOK_S, self.lease_s / 12)
        if now >= min(self.doubt_until, kill_at):
            self.end("lease", kill_at - now)

    def _renew(self, moment: Any) -> None:
        """Let the lease run from `moment` on our clock; without one (an older keeper names none) from now."""
        try:
            begin = min(float(moment), clock())
        except (TypeError, ValueError):
            begin = clock()
        self.lease_until = max(self.lease_until, begin + self.lease_s)

    def _obey(self, verb: str = "", amount: str = "", *_: str) -> None:
        if verb == "lease":
            self._renew(amount)
        elif verb == "end":
            try:
                grace = float(amount)
            except ValueError:
                grace = self.grace
            self.end("ended", grace)
        elif verb == "notice":
            try:
                self.heed(json.loads(amount))
            except (ValueError, TypeError, KeyError):
                pass  # a newer keeper may say it otherwise

    def heed(self, notice: Frame) -> None:
        """Let the job know, once, that a machine which it is on is about to go: the file SKYRIG_NOTICE_FILE gets what
        the keeper has said and `deadline`, unix time on this node's clock (null: not known). The job goes on; where
        its environment has SKYRIG_NOTICE_SIGNAL=TERM it gets TERM too. A disk that hangs keeps nobody waiting."""
        if notice["id"] in self.noticed:
            return
        self.noticed.add(notice["id"])
        left = notice["left_s"]
        known = {**notice, "deadline": None if left is None else time.time() + left}
        threading.Thread(target=publish, args=(line(known),), daemon=True).start()
        if self.signalled and not self.why:
            self.tree.tell(signal.SIGTERM)

    def _tell(self) -> None:
        """Send each peer the records that are new to it, or an empty line that means: look at the log."""
        alive, self.beats = self.disk.beats > self.beats, self.disk.beats
        for peer in self.peers:
            if alive:
                peer.say(line({"k": "alive"}))
            fresh = self.disk.records[peer.records :]
            peer.records += len(fresh)
            if fresh or not peer.out:
                peer.say(b"".join(line(record) for record in fresh) or b"\n")
        for peer in [peer for peer in self.peers if not peer.alive]:
            self.peers.remove(peer)
            peer.sock.close()

    def end(self, why: str, grace: float) -> None:
        """Begin to end the tree: TERM now, KILL in `grace` seconds. A later call can only shorten that."""
        self.kill_at = min(self.kill_at, clock() + max(0.0, grace))
        if self.why:
            self.broken_off = self.broken_off or (why if why != "exit" else "")
            return
        self.why = why
        if self.tree.members():
            self.tree.send(signal.SIGTERM)

    def _over(self) -> bool:
        """Whether the tree has ended, or will not; past the time of grace this is what KILLs."""
        if not self.why:
            return False
        left = len(self.tree.members())
        if left and clock() >= self.kill_at:
            left = self.left = self.tree.kill(KILL_WAIT_S)
            if left:
                return True
        return not left and self.status is not None and self._dismissed() and self._settled()

    def _dismissed(self) -> bool:
        """Whether the warden has left, which it does when it has no child left, having killed those that we missed."""
        if self.life >= 0:
            os.close(self.life)
            self.life = -1
        self.tree.reap()
        return not self.tree.spare and self.tree.empty()

    def _code(self) -> int:
        """The entry script's exit code, or 128 + signal."""
        status = signal.SIGKILL if self.status is None else self.status
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def _result(self) -> Frame:
        """The rank's last frame. Its code is the earliest failure's: those that ending the tree caused come later."""
        failed = [record for record in self.disk.records if record["code"]]
        first = min(failed, key=lambda record: float(record["at"]), default=None)
        status = signal.SIGKILL if self.status is None else self.status
        code, why = self._code(), self.why
        if self.reason:
            code, why, first = MOUNT_CODE, "mount", None
        elif self.watch is not None and self.broken_off and not code and not self.watch.done:
            code, why = 128 + signal.SIGTERM, self.broken_off
        return {
            "k": "exit",
            "code": first["code"] if first and code else code,
            "first": {key: first[key] for key in ("local", "code", "at")} if first else None,
            "why": why,
            "reason": self.reason,
            "at": self.ended_at or clock(),
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "log_cut": self.disk.lost > 0,
            "dropped": self.disk.lost,
            "size": self.disk.size + self.disk.unmarked,
            "left": self.left,
        }

    def _tell_end(self) -> None:
        """Tell who is attached at once, then store the result, then wait a little for slow listeners."""
        result = self._result()
        self._tell()
        for peer in self.peers:
            peer.say(line(result))
        kept = {"pid": os.getpid(), "records": self.disk.records, "exit": result}
        self.disk.ask(DISK_WAIT_S, result=line(kept))
        patience = clock() + 1.0
        while any(peer.out and peer.alive for peer in self.peers) and clock() < patience:
            for peer in select.select([], [peer for peer in self.peers if peer.out], [], 0.1)[1]:
                peer.say(b"")


def daemonise(spec: Frame, directory: bytes, lock: int, listener: socket.socket) -> None:
    """Fork the daemon off: own session, no descriptor of ours, nobody's child."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        errors = os.open("supervisor.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for fd, target in ((null, 0), (null, 1), (errors, 2)):
            os.dup2(fd, target)
        close_all_but({lock, listener.fileno()})
        for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(signum, signal.SIG_IGN)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        os.close(os.open("started", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        Daemon(spec, directory, lock, listener).run()
        code = 0
    except BaseException:  # noqa: BLE001  (this is a forked copy: nothing may return into the caller)
        sys.excepthook(*sys.exc_info())
    os._exit(code)


# --- starting --------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """What was asked for cannot be done; the text is one line."""


DEFAULTS = {"env": {}, "cwd": "~", "entry": "run.sh", "lease_s": 10.0, "log_limit": 1 << 30, "grace_s": GRACE_S}
DEFAULTS.update({"offset": 0, "t": None, "log_link": "", "watch": "", "mounts": [], "forget": []})


def checked(text: bytes) -> Frame:
    """The rank's spec, with defaults; refuses what could not run."""
    try:
        given = json.loads(text)
        if given["version"] != 1:
            raise Refused(f"spec version {given['version']!r} is not known here (1 is): copy the newer supervisor.py")
        spec = {**DEFAULTS, **given}
        spec["files"] = {**spec["files"]}
        for text_of in (
            spec["dir"],
            spec["cwd"],
            spec["log_link"],
            spec["watch"],
            *spec["mounts"],
            *spec["forget"],
            *spec["files"],
            *spec["files"].values(),
        ):
            raw(text_of)
        for name, value in spec["env"].items():
            if not name or "=" in name or "\0" in name + value:
                raise Refused(f"environment variable {name!r}: no name, or a NUL or = where none can be")
            raw(name + value)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Refused(f"the spec is not well formed: {type(problem).__name__} {problem}") from problem
    for name in spec["files"]:
        parts = name.split("/")
        if len(parts) > 2 or parts[0] in OWN_FILES or not {".", "..", ""}.isdisjoint(parts):
            raise Refused(f"file name {name!r} in the spec: NAME or FOLDER/NAME is needed, none of {sorted(OWN_FILES)}")
    if spec["entry"] not in spec["files"]:
        raise Refused(f"entry {spec['entry']!r} is not among the files")
    return spec


def claim(directory: bytes) -> int:
    """Become the one who starts the rank in this folder: its lock, held, or -1 when somebody did before."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    os.chdir(directory)
    lock = os.open("daemon.lock", os.O_RDWR | os.O_CREAT, 0o600)
    while not os.path.exists("started"):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)  # another `start`, about to make its mark, or an `attach` that looks
            continue
        if os.path.exists("started"):
            break
        return lock
    os.close(lock)
    return -1


def lay_out(spec: Frame) -> socket.socket:
    """Write the rank's files; returns the socket where the daemon will listen."""
    os.makedirs("proc", mode=0o700, exist_ok=True)
    contents = {name: raw(text) for name, text in spec["files"].items()}
    contents["result.part"] = b" " * RESERVED  # so that a disk that is full by then still has room for the result
    for name, content in contents.items():
        folder = os.path.dirname(raw(name))
        if folder:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        runs = folder or name.endswith(".sh")
        fd = os.open(raw(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700 if runs else 0o600)
        with open(fd, "wb") as file:
            file.write(content)
    try:
        os.unlink("sock")
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("sock")  # relative: a whole path may be longer than a socket's name can be
    listener.listen(64)
    listener.setblocking(False)
    return listener


def forget(path: bytes) -> None:
    """Remove what was true until the rank starts."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def link_log(path: bytes) -> None:
    """Let the log be found under `path` too, where users look for it. That is a service: a home that does not take it
    keeps no job from running."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(os.path.join(os.getcwdb(), b"log"), path)
    except OSError:
        pass


def start() -> None:
    """`start`: see the top of the file."""
    os.write(1, line({"k": "ready", "t": clock()}))
    shown_as(b"skyrig-supervisor\0start")
    text = b""
    parts = []
    while b"\n" not in text:
        text = os.read(0, 1 << 20)
        if not text:
            raise Refused("the spec's line did not arrive whole on stdin")
        parts.append(text)
    head, _, rest = b"".join(parts).partition(b"\n")
    spec = checked(head)
    if sys.platform == "linux" and os.readlink("/proc/self") != str(os.getpid()):
        raise Refused("/proc shows another pid namespace than this one: mount proc, or processes cannot be ended")
    directory = os.path.abspath(os.path.expanduser(raw(spec["dir"])))
    lock = claim(directory)
    if lock >= 0:
        if spec["t"] is not None and 0 < spec["lease_s"] <= clock() - spec["t"]:
            raise Refused("the order to start was on its way for longer than the lease: its job has gone on without us")
        listener = lay_out(spec)
        for path in spec["forget"]:
            forget(os.path.expanduser(raw(path)))
        if spec["log_link"]:
            link_log(os.path.expanduser(raw(spec["log_link"])))
        daemonise(spec, directory, lock, listener)
        listener.close()
        os.close(lock)
    offset = int(spec["offset"])
    del spec, head, parts
    Attached(offset, rest).run()


# --- attaching -------------------------------------------------------------------------------------------------------


def stored() -> Frame | None:
    """The result in the working directory, if the rank has ended."""
    try:
        with open("result", "rb") as file:
            result: Frame = json.loads(file.read())
    except FileNotFoundError:
        return None
    return result


def held() -> bool:
    """Whether the daemon of the working directory, or its warden, lives."""
    try:
        lock = os.open("daemon.lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def verdict() -> Frame | None:
    """The stored result; None while the rank lives; {"gone": True} when it ended without one."""
    return stored() or (None if held() else stored() or {"gone": True})


def connected() -> socket.socket | None:
    """A connection to the daemon of the working directory; None when it does not listen (yet, or any more)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect("sock")
    except OSError:
        sock.close()
        return None
    return sock


class Attached:
    """Copies a rank's frames to stdout and orders from stdin to the daemon; the working directory is the rank's folder.

    It never waits on stdout alone: a follower that does not read would keep leases from coming through.
    """

    def __init__(self, offset: int, heard: bytes = b"") -> None:
        self.offset = offset
        self.heard = heard
        self.out = bytearray()
        self.sock: socket.socket | None = None
        self.told = b""
        self.log = -1
        self.look = True
        self.introduced = False
        self.records = 0
        self.seen = 0
        self.last: Frame | None = None
        self.done = False

    def run(self) -> None:
        """Until the last frame is out, or stdin ends (which detaches)."""
        blocking = os.get_blocking(1)
        os.set_blocking(1, False)
        try:
            self._orders(b"")
            while not (self.done and not self.out):
                if self.sock is None and self.last is None:
                    self._find()
                self._copy()
                if not self._wait():
                    return
        except BrokenPipeError:
            return
        finally:
            os.set_blocking(1, blocking)

    def _find(self) -> None:
        """Connect, or learn how the rank ended."""
        self.sock = connected()
        self.records = 0
        self.told = b""
        if self.sock is not None:
            self._orders(b"")
            return
        result = verdict()
        if result is not None and "gone" in result:
            self.last = {"k": "gone"}
        elif result is not None:
            self._frame({"k": "up", "pid": result["pid"]})
            for record in result["records"]:
                self._frame(record)
            self.last = result["exit"]
        self.look = True

    def _wait(self) -> bool:
        """Wait for the next thing to do and do it; False when stdin ended."""
        reading: list[Any] = [0] if self.sock is None else [0, self.sock]
        busy = self.look and len(self.out) < CHUNK
        pause = 0.0 if busy else 0.02 if self.sock is None and self.last is None else None
        ready = select.select(reading, [1] if self.out else [], [], pause)
        if ready[1]:
            self._flush()
        if self.sock in ready[0]:
            self._news()
        if 0 in ready[0]:
            try:
                data = os.read(0, 1 << 16)
            except BlockingIOError:
                return True
            self._orders(data)
            return bool(data)
        return True

    def _flush(self) -> None:
        try:
            del self.out[: os.write(1, self.out[:CHUNK])]
        except BlockingIOError:
            pass  # select was too hopeful

    def _orders(self, data: bytes) -> None:
        """Pass on whole lines from stdin; what cannot be passed on yet waits."""
        self.heard += data
        while self.sock is not None and b"\n" in self.heard:
            text, _, self.heard = self.heard.partition(b"\n")
            try:
                order = json.loads(text)
                verb = order["op"]
                amount = order.get({"lease": "t", "end": "grace_s", "notice": "notice"}[verb], "")
            except (ValueError, TypeError, AttributeError, KeyError):
                continue  # not for us: a newer keeper may say more
            try:
                self.sock.sendall(raw(f"{verb} {amount}\n"))
            except OSError:
                self._lose()
                continue
            if verb == "lease" and not self.done:  # nothing comes after the last frame
                self.out += line({"k": "lease", "t": clock()})  # node and daemon are there, however silent the job is

    def _news(self) -> None:
        """What the daemon says. Any word of it means that the log may have grown."""
        assert self.sock is not None
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        *lines, self.told = (self.told + data).split(b"\n")
        self.look = True
        for text in filter(None, lines):
            frame = json.loads(text)
            if frame["k"] == "exit":
                self.last = frame
            else:
                self._frame(frame)

    def _lose(self) -> None:
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def _frame(self, frame: Frame) -> None:
        """Put out a frame, unless an earlier connection to the daemon brought it."""
        if frame["k"] == "up":
            fresh, self.introduced = not self.introduced, True
            frame = {**frame, "t": clock()}
        elif frame["k"] == "alive":
            fresh = True
        else:
            self.records += 1
            fresh = self.records > self.seen
            self.seen = max(self.seen, self.records)
        if fresh:
            self.out += line(aged(frame))

    def _copy(self) -> None:
        """Put out what the log has; at its end the last frame, if that is known."""
        if self.log < 0:
            try:
                self.log = os.open("log", os.O_RDONLY)
            except FileNotFoundError:
                pass  # the daemon is about to make it
        while self.look and len(self.out) < CHUNK:
            data = os.pread(self.log, CHUNK // 4, self.offset) if self.log >= 0 else b""
            self.look = bool(data)
            if data:
                self.out += line({"k": "log", "off": self.offset, "len": len(data)}) + data
                self.offset += len(data)
        if self.last is not None and not self.look and not self.done:
            self.out += line(aged(self.last))
            self.done = True


def enter(directory: str) -> bool:
    """Go to the rank's folder; False when there is none."""
    try:
        os.chdir(os.path.expanduser(os.fsencode(directory)))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def attach(directory: str, offset: str = "0") -> None:
    """`attach`: see the top of the file."""
    shown_as(b"skyrig-supervisor\0attach")
    if enter(directory):
        Attached(int(offset)).run()
    else:
        os.write(1, line({"k": "gone"}))


def report(result: Frame | None) -> None:
    """Print the frame that sums up a rank."""
    if result is None:
        with open("daemon.lock", "rb") as file:
            frame = {"k": "up", "pid": int(file.read() or 0), "log": os.path.getsize("log")}
    else:
        frame = {"k": "gone"} if "gone" in result else aged(result["exit"])
    os.write(1, line(frame))


def status(directory: str) -> None:
    """`status`: see the top of the file."""
    report(verdict() if enter(directory) else {"gone": True})


def end(directory: str, grace: str = "") -> None:
    """`end`: see the top of the file."""
    result: Frame | None = {"gone": True}
    if enter(directory):
        result = verdict()
        while result is None:
            sock = connected()
            if sock is not None:
                try:
                    sock.sendall(raw(f"end {grace}\n"))
                    while sock.recv(1 << 16):
                        pass
                except OSError:
                    pass  # it left while we spoke: the loop's condition says how
                sock.close()
            else:
                time.sleep(0.02)  # it is starting, or about to leave: the loop's condition says which
            result = verdict()
    report(result)


def main(words: list[str]) -> int:
    """Run one command; returns the exit status (1: refused, one line on stderr; 2: bad usage)."""
    commands: dict[str, tuple[Callable[..., None], int, int]] = {
        "start": (start, 0, 0),
        "attach": (attach, 1, 2),
        "end": (end, 1, 2),
        "status": (status, 1, 1),
    }
    command, least, most = commands.get(words[0] if words else "", (start, 1, 0))
    if not least <= len(words) - 1 <= most:
        os.write(2, raw((__doc__ or "").partition("::")[2].partition("Who")[0]))
        return 2
    try:
        command(*words[1:])
    except (Refused, OSError, ValueError) as problem:
        os.write(2, raw(f"supervisor: {problem}\n"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
