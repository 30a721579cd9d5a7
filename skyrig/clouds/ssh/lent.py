"""On a machine: who it is lent to. The lease is the folder ~/.skyrig-machine, which appears whole and goes whole:

lease.json    whose the machine is
before.json   what the files were in which lines of ours stand, and which folders were there already
program.py    this program, with which the machine gives itself back
end           what runs it: the cluster's own way to end itself

Standard library only, Python 3.8 or newer: it is sent along with each question.
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any

from skyrig.clouds.ssh.files import gates, let_in, pass_through, restore, shut, snapshot, turn, written
from skyrig.clouds.ssh.tidy import OURS, SHARED, ancestors, ended, removed, taken_back, unmounted

FOLDER = "~/.skyrig-machine"

_HOME = "~"
"""What is locked while a machine is lent or given back: a run whose caller was killed goes on here, and the next one
waits for it."""

_OLD_S = 600.0
"""How old what a killed run has left beside the folder must be to go, in seconds."""

_GPUS_S = 60.0

_END = """\
#!/bin/sh
# Gives this machine back: all that the cluster has here goes, at last this folder.
exec {python} -I -S {program} end
"""


class Wrong(Exception):
    """What is asked cannot be done here, in a clause."""


def main(given: dict[str, Any], text: str) -> None:
    """Answer one question: `verb` and what belongs to it. `text` is this program."""
    try:
        with turn(_HOME) if given["verb"] in _CHANGING else contextlib.nullcontext():
            answer = _VERBS[given["verb"]]({**given, "text": text})
    except Wrong as wrong:
        answer = {"error": str(wrong)}
    except OSError as error:
        answer = {"error": "%s: %s" % (error.strerror or error, error.filename or "")}
    with contextlib.suppress(BrokenPipeError):
        print("\nskyrig-ssh " + json.dumps(answer), flush=True)


def look(given: dict[str, Any]) -> dict[str, Any]:
    """What the machine is, whose it is, and what would be in the way."""
    home = os.path.expanduser("~")
    room = os.statvfs(home)
    there = [name for name in OURS if os.path.lexists(os.path.expanduser(name))]
    found = lease()
    return {
        "python": list(sys.version_info[:3]),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "arch": os.uname().machine,
        "gpus": _gpus(),
        "boot": _boot(),
        "clock": time.time(),
        "free_gb": room.f_bavail * room.f_frsize / 1e9,
        "writable": os.access(home, os.W_OK),
        "in_the_way": [] if found else there,
        "lease": found,
        "gates": gates(),
    }


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def _gpus() -> list[str]:
    """The accelerators that NVIDIA's driver names: name and memory in MiB, one a line."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    words = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_GPUS_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode(errors="replace").split("\n")[:-1] if done.returncode == 0 else []


def lease() -> Any:
    """Whose the machine is; None where it is nobody's."""
    try:
        with open(os.path.expanduser(FOLDER + "/lease.json"), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Wrong("%s/lease.json cannot be read: %s" % (FOLDER, error)) from error


def _is_for(found: Any, wanted: dict[str, Any]) -> bool:
    return bool(found) and all(found.get(key) == wanted[key] for key in ("home", "stack", "node", "version"))


def take(given: dict[str, Any]) -> dict[str, Any]:
    """Lend the machine, where it is nobody's or that node's already; and make it ready. `taken` says whether it is
    now."""
    wanted = given["lease"]
    _swept()
    if lease() is None:
        strange = look(given)["in_the_way"]
        if strange:
            raise Wrong("%s is there, and no lease says whose: move it away" % ", ".join(strange))
        _begun(wanted, given["text"])
    found = lease()
    if not _is_for(found, wanted):
        return {"taken": False, "lease": found}
    _ready(given["key"])
    return {"taken": True, **look(given)}


def _begun(wanted: dict[str, Any], text: str) -> None:
    """Put the folder there, with all that it holds: of two who try, one succeeds."""
    folder = os.path.expanduser(FOLDER)
    fresh = "%s.new-%s" % (folder, wanted["id"])
    os.makedirs(fresh, mode=0o700, exist_ok=True)
    program = os.path.join(folder, "program.py")
    words = {"python": _quoted(os.path.realpath(sys.executable)), "program": _quoted(program)}
    texts = {
        "lease.json": json.dumps({**wanted, "since": time.time()}),
        "program.py": "%s\nsys.modules['skyrig.clouds.ssh.lent'].leave()\n" % text,
        "end": _END.format(**words),
    }
    for name, content in texts.items():
        written(os.path.join(fresh, name), content.encode(), 0o700 if name == "end" else 0o600)
    try:
        os.rename(fresh, folder)  # no other one's: a folder that holds something is not replaced
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def _ready(key: str) -> None:
    """What a cluster needs here; done again, it changes nothing."""
    before = os.path.expanduser(FOLDER + "/before.json")
    if not os.path.exists(before):
        had = [name for name in SHARED if os.path.lexists(os.path.expanduser(name))]
        written(before + ".new", json.dumps({"files": snapshot(), "had": had, "key": key}).encode())
        os.replace(before + ".new", before)
    let_in(key)
    os.makedirs(os.path.expanduser("~/.skyrig"), mode=0o700, exist_ok=True)


def back(given: dict[str, Any]) -> dict[str, Any]:
    """Give the machine back, if it is lent by that lease: all that a cluster has here goes, the lease last."""
    _swept()
    found = lease()
    if found is None or (given["id"] and found["id"] != given["id"]):
        return {"back": False, "lease": found}
    _given_back(ancestors(os.getpid()))
    return {"back": True, "lease": None}


def _given_back(spare: list[int]) -> None:
    left = ended(spare)
    if left:
        raise Wrong("processes %s do not end" % ", ".join(map(str, left)))
    folder = os.path.expanduser(FOLDER)
    try:
        with open(os.path.join(folder, "before.json"), encoding="utf-8") as file:
            before = json.load(file)
    except FileNotFoundError:  # nothing was made ready
        before = None
    except ValueError as error:
        raise Wrong("%s/before.json cannot be read: %s" % (FOLDER, error)) from error
    unmounted()
    taken_back()
    stays = removed(before["had"] if before else [])
    if stays:
        raise Wrong("%s cannot be removed" % ", ".join(stays))
    if before:
        restore(before["files"], before["key"])
    gone = "%s.gone-%d" % (folder, os.getpid())
    os.rename(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)


def _swept() -> None:
    """Remove what runs that were killed have left beside the folder."""
    base = os.path.expanduser(FOLDER)
    for path in glob.glob(glob.escape(base) + ".*"):
        with contextlib.suppress(OSError):
            if ".gone-" in path or time.time() - os.stat(path).st_mtime > _OLD_S:
                shutil.rmtree(path, ignore_errors=True)


def leave() -> None:
    """Give the machine back from inside, with nobody waiting for it: what asks for that goes too."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.chdir("/")
    time.sleep(0.3)  # who asked is told that it was taken, before its connection goes
    for _ in range(3):
        with contextlib.suppress(Wrong, OSError), turn(_HOME):
            _given_back([os.getpid()])
            break
        time.sleep(1)
    os._exit(0)


def passing(given: dict[str, Any]) -> dict[str, Any]:
    """Let a key through to a place."""
    pass_through(given["mark"], given["key"], given["place"])
    return {}


def shutting(given: dict[str, Any]) -> dict[str, Any]:
    """Let nobody through to it any more."""
    shut(given["mark"], given["place"])
    return {}


_CHANGING = ("take", "back")

_VERBS = {"look": look, "take": take, "back": back, "pass": passing, "shut": shutting}
