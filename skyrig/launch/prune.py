"""Run on a node (stdlib only, Python 3.8): removes what old jobs left there. `given` is its JSON input.

Of the finished jobs below ~/.skyrig/jobs the newest `keep` stay, as far as they have `bytes` bytes together; so do
those named in `spare`, and any whose supervisor lives.
"""

# ruff: noqa: PTH106, PTH111, PTH118  (starts quickly without pathlib)
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


try:
    finished = [entry for entry in os.scandir(jobs) if entry.is_dir() and entry.name not in given["spare"]]
except FileNotFoundError:
    finished = []
finished.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
kept = room = 0
for job in finished:
    folders = ranks(job.path)
    if not folders or any(alive(folder) for folder in folders):
        continue
    kept += 1
    room += sum(size(folder) for folder in folders)
    if kept > given["keep"] or room > given["bytes"]:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rmdir(job.path)
        except OSError:
            continue  # the head's log of the job lies there too, and goes its own way
sys.stdout.write("pruned\n")
