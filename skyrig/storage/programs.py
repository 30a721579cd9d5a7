"""Which rclone and which versitygw run here: an rclone on PATH that is new enough, else those in the cache folder.

The choice, and getting what is missing, is the work of tools/rig/fetch.py, as for the engine (skyrig/stack/source.py).
Its answer is noted in the cache folder and holds for as long as PATH leads to the same program.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from skyrig import places
from skyrig.errors import SkyrigError

_INTERRUPTED = 130
_GO_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def rclone() -> Path:
    """The rclone to run on this machine. It is got first where there is none: a minute or two, with progress on stderr.
    SkyrigError where there is no way to it."""
    return _program("rclone", _here())


def versitygw() -> Path:
    """The versitygw to run on this machine, got likewise."""
    return _program("versitygw", _here())


def rclone_for(machine: str) -> Path:
    """An rclone for Linux nodes that are `machine` (as `uname -m` says), for sending: never one of PATH, which may need
    libraries that the nodes lack. SkyrigError where there is no way to it."""
    if machine not in _GO_MACHINES:
        raise SkyrigError(f"there is no rclone for nodes that are {machine}", hint="x86_64 and aarch64 are known")
    return _program("rclone", f"linux-{_GO_MACHINES[machine]}", own=True)


def _here() -> str:
    machine = platform.machine()
    return f"{sys.platform}-{_GO_MACHINES.get(machine, machine)}"


def _program(name: str, system: str, *, own: bool = False) -> Path:
    """The program; with `own`, one that Skyrig got itself."""
    asked = _asked(name, system, own)
    kept = f"{system}-own" if own else system
    known = _noted(name, kept)
    if known.get("asked") == asked and os.access(known["path"], os.X_OK):
        return Path(known["path"])
    found = _fetched(name, system, own)
    _note(name, kept, {"asked": asked, "path": str(found)})
    return found


def _asked(name: str, system: str, own: bool) -> list[str]:
    """What tells one rclone on PATH from another one, or from none; and one version of our list from the next."""
    files = [_fetcher().with_name("programs.py")]
    found = None if own else shutil.which(name)
    files += [Path(found)] if found else []
    each = ((file, file.stat()) for file in files)
    return [system, str(own), *(f"{file} {there.st_ino} {there.st_size} {there.st_mtime_ns}" for file, there in each)]


def _fetcher() -> Path:
    return places.shipped() / "tools" / "rig" / "fetch.py"


def _fetched(name: str, system: str, own: bool) -> Path:
    command = [sys.executable, "-E", "-s", "-B", str(_fetcher()), name, system, *(["own"] if own else [])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    said = done.stdout.strip()
    if done.returncode == _INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode:
        raise SkyrigError(said or f"{name} cannot be got")
    return Path(said)


def _file(name: str, system: str) -> Path:
    return places.cache() / name / f"chosen-{system}.json"


def _noted(name: str, system: str) -> dict[str, Any]:
    try:
        known = json.loads(_file(name, system).read_bytes())
        return known if {"asked", "path"} <= set(known) else {}
    except (OSError, ValueError, TypeError):
        return {}


def _note(name: str, system: str, chosen: dict[str, Any]) -> None:
    descriptor, fresh = tempfile.mkstemp(dir=places.made(_file(name, system).parent), prefix=".chosen.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(chosen, out)
    Path(fresh).replace(_file(name, system))
