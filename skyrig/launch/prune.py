"""Run on a node (stdlib only, Python 3.8): removes what old jobs left there. `given` is its JSON input.

Of the finished jobs below ~/.skyrig/jobs the newest `keep` stay, as far as they have `bytes` bytes together, and a
quarter of what their disk has free without them; so do those named in `spare`, and any whose supervisor lives. Links to
removed logs go from ~/sky_logs, with the folders that hold nothing else.
"""

# ruff: noqa: PTH106, PTH108, PTH110, PTH111, PTH114, PTH115, PTH118  (starts quickly without pathlib)
from __future__ import annotations

import fcntl
import os
import shutil
import sys

given = globals()["given"]
jobs = os.path.join(os.path.expanduser("~"), ".skyrig", "jobs")


def ranks(job: str) -> list[str]:
    """The folders of a job's ranks and of its setup."""
    return [entry.path for entry in os.scandir(job) if entry.name.startswith(("rank-", "setup-"))]


def alive(rank: str) -> bool:
    """Whether the supervisor in a rank's folder lives: it holds this lock then."""
    try:
        lock = os.open(os.path.join(rank, "daemon.lock"), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def size(folder: str) -> int:
    """Bytes on disk below a folder."""
    found = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                found += os.lstat(os.path.join(where, name)).st_blocks * 512
            except OSError:
                continue
    return found


def unlink_removed(logs: str) -> None:
    """Remove links below `logs` whose job's log is gone, and folders that are empty then."""
    for where, _, names in os.walk(logs, topdown=False):
        for name in names:
            path = os.path.join(where, name)
            try:
                if os.path.islink(path) and os.readlink(path).startswith(jobs) and not os.path.exists(path):
                    os.unlink(path)
            except OSError:
                continue
        if where != logs:
            try:
                os.rmdir(where)
            except OSError:
                continue  # what else is there is the user's


try:
    finished = [entry for entry in os.scandir(jobs) if entry.is_dir() and entry.name not in given["spare"]]
except FileNotFoundError:
    finished = []
finished.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
old = []
for job in finished:
    folders = ranks(job.path)
    if folders and not any(alive(folder) for folder in folders):
        old.append((job, folders, sum(size(folder) for folder in folders)))
allowed = given["bytes"]
if old:
    disk = os.statvfs(jobs)
    allowed = min(allowed, (disk.f_bavail * disk.f_frsize + sum(room for _, _, room in old)) // 4)
taken = 0
for number, (job, folders, room) in enumerate(old):
    taken += room
    if number >= given["keep"] or taken > allowed:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rmdir(job.path)
        except OSError:
            continue  # the head's log of the job lies there too, and goes its own way
unlink_removed(os.path.join(os.path.expanduser("~"), "sky_logs"))
sys.stdout.write("pruned\n")
