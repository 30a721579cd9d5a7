"""On a machine: what a cluster has left there goes: processes, mounts, files that were brought, our folders.

Standard library only, Python 3.8 or newer: it is sent along with each question.
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator

from skyrig.fleet.content import BlobStore, Manifest, Refused
from skyrig.fleet.receiver import materialise

OURS = ("~/.skyrig", "~/sky_workdir")
"""Folders that are a cluster's alone: a machine that has one, and was lent to nobody, is not taken."""

SHARED = ("~/sky_logs", "~/sky_models")
"""Folders that SkyPilot, or somebody else, may have had there before."""

_MARK = b"SKYRIG_RANK_DIR="
"""Begins the variable by which what a job has started is known, wherever it has gone; its value is a folder of ours."""

_END_S = 20.0


def ended(spare: Iterable[int]) -> list[int]:
    """Kill all that a cluster runs here but the processes `spare`: whatever it has started, also what has gone away
    from its parents. Those that do not end."""
    spared, deadline = frozenset(spare), time.monotonic() + _END_S
    while True:
        left = [pid for pid in _running() if pid not in spared]
        if not left or time.monotonic() > deadline:
            return left
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _running() -> list[int]:
    parents, found = {}, set()
    named = [os.path.expanduser(each) for each in OURS]
    places = list({os.fsencode(each) for name in named for each in (name, os.path.realpath(name))})
    for pid in _pids():
        with contextlib.suppress(OSError, ValueError, IndexError):  # it ended meanwhile, or is somebody else's
            with open("/proc/%d/stat" % pid, "rb") as file:
                words = file.read().rpartition(b")")[2].split()
            if words[0] in (b"Z", b"X"):
                continue
            parents[pid] = int(words[1])
            if _is_ours(pid, places):
                found.add(pid)
    while True:
        more = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        if not more:
            return sorted(found)
        found |= more


def _pids() -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def _is_ours(pid: int, places: list[bytes]) -> bool:
    """Whether a process was started by us: it says so in its environment, is one of our programs, or is at home in our
    folders."""
    base = "/proc/%d/" % pid
    with open(base + "environ", "rb") as file:
        if any(each.startswith(_MARK + place + b"/") for each in file.read().split(b"\0") for place in places):
            return True
    with open(base + "cmdline", "rb") as file:
        words = file.read().split(b"\0")
    if any(word.startswith(place + b"/") for word in words for place in places):
        return True
    at = [os.fsencode(os.readlink(base + name)) for name in ("cwd", "exe")]
    return any(where == place or where.startswith(place + b"/") for where in at for place in places)


def ancestors(pid: int) -> list[int]:
    """A process and those that it comes from."""
    found = []
    while pid > 0:
        found.append(pid)
        try:
            with open("/proc/%d/stat" % pid, "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found


def unmounted() -> None:
    """Take our mounts away: those that our programs served, which are dead now."""
    for record in glob.glob(os.path.expanduser("~/.skyrig/mounts/*/mount.json")):
        try:
            with open(record, encoding="utf-8") as file:
                said = json.load(file)
            place, how = str(said["place"]), said["how"]
        except (OSError, ValueError, KeyError):
            continue
        if how == "link":
            if os.path.islink(place) and os.readlink(place) == said["plan"]["folder"]:
                os.unlink(place)
            continue
        for words in (["fusermount3", "-u", "-z", place], ["fusermount", "-u", "-z", place], ["umount", "-l", place]):
            if place in _mounted() and shutil.which(words[0]):
                subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        with contextlib.suppress(OSError):  # others' files lie in it
            os.rmdir(place)


def _mounted() -> list[str]:
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            return [line.split()[1].encode().decode("unicode_escape") for line in file]
    except OSError:
        return []


def taken_back() -> None:
    """Remove what was brought to places of its own (file_mounts), but for what somebody has changed since."""
    store = BlobStore(os.path.expanduser("~/.skyrig/incoming"))
    for state in glob.glob(os.path.expanduser("~/.skyrig/mounts/*.json*")):
        if not state.endswith((".json", ".json.file")):
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, Refused):
            with open(state, encoding="ascii") as file:
                root = json.load(file)["root"]
            if os.path.isdir(root):
                materialise(store, Manifest(()), root, state)
                home = os.path.realpath(os.path.expanduser("~"))
                while root.startswith(home + os.sep) and not os.listdir(root):
                    os.rmdir(root)
                    root = os.path.dirname(root)


def removed(keeping: Iterable[str]) -> list[str]:
    """Remove our folders; of those in `keeping`, only what leads into ours. What does not go, each with its reason."""
    kept, left = set(keeping), []
    base = os.path.realpath(os.path.expanduser(OURS[0]))
    for name in SHARED:
        if name in kept:
            _unlinked(os.path.expanduser(name), base)
    home = hashlib.sha256(os.fsencode(os.path.expanduser(OURS[0]))).hexdigest()[:12]
    secrets = "/dev/shm/skyrig-%d-%s" % (os.getuid(), home)
    for path in (*(os.path.expanduser(name) for name in (*SHARED, *reversed(OURS)) if name not in kept), secrets):
        _rmtree(path)
        if os.path.lexists(path):
            left.append(path)
    return left


def _unlinked(folder: str, base: str) -> None:
    """Remove links into `base`, and folders that held nothing else."""
    for where, folders, files in os.walk(folder, topdown=False):
        ours = [
            path
            for path in (os.path.join(where, name) for name in (*folders, *files))
            if os.path.islink(path) and os.readlink(path).startswith(base + os.sep)
        ]
        for path in ours:
            os.unlink(path)
        if where != folder and (ours or folders) and not os.listdir(where):
            os.rmdir(where)


def _rmtree(path: str) -> None:
    if os.path.islink(path) or not os.path.isdir(path):
        with contextlib.suppress(OSError):
            os.unlink(path)
        return

    def opened(function: object, failed: str, error: object) -> None:
        """A folder that nobody may write in is opened, and tried once more."""
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(failed), stat.S_IRWXU)
            os.chmod(failed, stat.S_IRWXU)
            if os.path.isdir(failed) and not os.path.islink(failed):
                shutil.rmtree(failed, ignore_errors=True)
            else:
                os.unlink(failed)

    shutil.rmtree(path, onerror=opened)
