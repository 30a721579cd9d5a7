"""What is attached on this node, whether it still is, and which of its files have not reached their bucket yet.

Every mount has a folder ~/.skyrig/mounts/ID: `mount.json` says what it is and who serves it, `cache` and `log` are its
rclone's, `rc` is the socket on which that answers, `ended` its exit code once it has ended.

A file is **dirty** from its first write until it is in the bucket. rclone keeps that per file in the cache's vfsMeta,
where it survives whatever ends rclone, and in its queue of uploads, which also knows of files whose vfsMeta a full disk
did not take. Nothing here looks into a mount itself: whoever does that where rclone stands still stands still as well.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # as in typing, whose import is saved
    from collections.abc import Iterator
    from typing import Any

    Files = dict[str, int]

MOUNTS = "~/.skyrig/mounts"
REMOTE = "skyrig"
_PROBE = ".skyrig-probe"
_META_LIMIT = 4 << 20
LEAST_ROOM = 64 << 10
"""Bytes of free disk below which it counts as full."""


def start_time(pid: int) -> str:
    """What tells process `pid` from a later one of that number; "" where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return "" if os.path.isdir("/proc/self") else _start_by_ps(pid)
    return "" if fields[0] in b"ZX" else fields[19].decode()


def _start_by_ps(pid: int) -> str:
    import subprocess

    asked = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(asked, stdout=subprocess.PIPE, check=False).stdout.decode().strip()


def mounted() -> dict[str, str]:
    """The kind of file system at every place where one is mounted, the last one where there are several."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    places = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), before.split(" ")[4])
        places[place] = after.split(" ")[0]
    return places


def amount(count: int) -> str:
    """Bytes in words: "812 B", "1.2 GB"."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def plain(error: str) -> str:
    """The part of one of rclone's errors that says what is wrong."""
    text = error.strip().splitlines()[-1] if error.strip() else ""
    text = re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d [A-Z]+ *: ", "", text)
    for mark in ("api error ", "dial tcp", 'Get "', "last error was: "):
        if mark in text:
            text = text[text.index(mark) :].replace("api error ", "")
            break
    if text.endswith("directory not found"):
        return "there is no such bucket"
    return text[:300]


class Mount:
    """One mount of this node, as its folder tells of it."""

    def __init__(self, folder: str, record: dict[str, Any]) -> None:
        self.folder = folder
        self.plan: dict[str, Any] = record["plan"]
        self.place: str = record["place"]
        self.how: str = record["how"]
        self.pid: int = record.get("pid", 0)
        self.start: str = record.get("start", "")
        self._seen: dict[str, tuple[tuple[int, int, int], int]] = {}

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"mount {self.plan['target']} ({self.plan['bucket']})"

    @property
    def serves(self) -> bool:
        """Whether its process lives."""
        return bool(self.pid) and start_time(self.pid) == self.start

    def trouble(self) -> str:
        """Why it cannot be used, "" where it can."""
        if self.how == "link":
            same = os.path.islink(self.place) and os.readlink(self.place) == self.plan["folder"]
            if not same:
                return "another thing is in its place"
            return "" if os.path.isdir(self.plan["folder"]) else "its folder is not there any more"
        if not os.path.isdir(self.folder):
            return "it was detached"
        if not self.serves:
            return self._end()
        kinds = mounted()
        return "" if not kinds or self.place in kinds else "it was unmounted"

    def _end(self) -> str:
        """How its rclone ended. The shell that waits for it takes a moment to write that down."""
        deadline = time.monotonic() + 0.5
        while True:
            try:
                with open(os.path.join(self.folder, "ended"), encoding="ascii") as file:
                    code = int(file.read())
            except (OSError, ValueError):
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                return "its rclone does not run"
            if code > 128:
                return f"its rclone was killed by signal {code - 128}"
            if code == 0:
                return "it was unmounted"
            return f"its rclone ended with code {code}: {plain(self.last_words())}"

    def last_words(self) -> str:
        """The last line of rclone's log that tells of an error."""
        try:
            with open(os.path.join(self.folder, "log"), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 16384))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        said = [line for line in lines if " CRITICAL: " in line or " ERROR : " in line or "Fatal error" in line]
        return (said or lines or [""])[-1]

    def ask(self, call: str, **given: Any) -> dict[str, Any]:
        """rclone's answer to one of its remote-control calls; {"error": ...} where it has none."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(15.0)
                _connect(sock, self.folder)
                body = json.dumps(given).encode()
                head = f"POST /{call} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                sock.sendall(head.encode() + body)
                said = b"".join(iter(lambda: sock.recv(1 << 16), b""))
            answer = json.loads(said.partition(b"\r\n\r\n")[2])
        except (OSError, ValueError) as problem:
            return {"error": f"rclone does not answer: {problem}"}
        return answer if isinstance(answer, dict) else {"error": "rclone answers nonsense"}

    def refusal(self) -> str:
        """What the bucket says to us now: "" where it lets us in, else rclone's error. Not asked through what is
        mounted, which would try again for minutes."""
        fs = f"{REMOTE},description=probe:{self.plan['path']}"
        few = {"noModTime": True, "noMimeType": True}
        tries = {"LowLevelRetries": 1, "Retries": 1}
        return str(self.ask("operations/list", fs=fs, remote=_PROBE, opt=few, _config=tries).get("error", ""))

    def queue(self) -> list[dict[str, Any]]:
        """Uploads that wait or are under way."""
        found = self.ask("vfs/queue").get("queue") if self.serves else None
        return found if isinstance(found, list) else []

    def dirty(self) -> Files:
        """Bytes by path (below what is mounted) of the files that are not in the bucket yet."""
        found = {str(each["name"]): int(each["size"]) for each in self.queue()}
        for path, size in self._marked():
            found.setdefault(path, size)
        return found

    def _marked(self) -> Iterator[tuple[str, int]]:
        """Path and size of each file that vfsMeta says is dirty, or says nothing whole of. What was read once is read
        again only when it was written since."""
        base = os.path.join(self.folder, "cache", "vfsMeta")
        fresh: dict[str, tuple[tuple[int, int, int], int]] = {}
        for root in _folders(base):
            root = os.path.join(root, self.plan["path"].strip("/"))
            for path, about in _files(root):
                mark = (about.st_mtime_ns, about.st_size, about.st_ino)
                known = self._seen.get(path)
                size = known[1] if known is not None and known[0] == mark else _dirty_bytes(path)
                if size is None:
                    continue
                fresh[path] = (mark, size)
                if size >= 0:
                    yield os.path.relpath(path, root), size
        self._seen = fresh

    @property
    def is_full(self) -> bool:
        """Whether the disk of its cache has no room left."""
        try:
            disk = os.statvfs(os.path.join(self.folder, "cache"))
        except OSError:
            return False  # a link has none
        return disk.f_bavail * disk.f_frsize < LEAST_ROOM

    def in_bucket(self, path: str) -> str:
        """A file's name as the user knows it."""
        bucket, inner = str(self.plan["bucket"]), str(self.plan["path"]).strip("/").partition("/")[2]
        bucket = bucket if not inner or bucket.endswith("/" + inner) else f"{bucket}/{inner}"
        return f"{bucket.rstrip('/')}/{path}"

    def open_files(self) -> set[str]:
        """Paths below what is mounted that some process has open (ours, where we may not see those of others)."""
        found = set()
        for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else []):
            try:
                names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            except OSError:
                continue
            found |= {name[len(self.place) + 1 :] for name in names if name.startswith(self.place + "/")}
        return found


def _connect(sock: socket.socket, folder: str) -> None:
    """To rclone's socket in `folder`, whose whole path may be longer than a socket's name can be."""
    if not os.path.isdir("/proc/self/fd"):
        sock.connect(os.path.join(folder, "rc"))
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sock.connect(f"/proc/self/fd/{fd}/rc")
    finally:
        os.close(fd)


def _folders(path: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _files(root: str) -> Iterator[tuple[str, os.stat_result]]:
    todo = [root]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                todo.append(entry.path)
                continue
            try:
                yield entry.path, entry.stat(follow_symlinks=False)
            except OSError:
                continue  # renamed or removed meanwhile


def _dirty_bytes(path: str) -> int | None:
    """A dirty file's size, -1 of a clean one, None where it is gone. What cannot be read whole, as a full disk leaves
    it, counts as dirty."""
    for _ in range(3):
        try:
            with open(path, "rb") as file:
                told = json.loads(file.read(_META_LIMIT))
            return int(told["Size"]) if told["Dirty"] else -1
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.01)  # it may be written right now
    return 0


def attached(home: str = "~") -> list[Mount]:
    """All mounts that this node was told to have, whether they are alive or not."""
    base = os.path.expanduser(MOUNTS.replace("~", home, 1))
    found = []
    for folder in sorted(_folders(base)):
        try:
            with open(os.path.join(folder, "mount.json"), encoding="utf-8") as file:
                found.append(Mount(folder, json.load(file)))
        except (OSError, ValueError, KeyError):
            continue  # half made, or on its way out
    return found
