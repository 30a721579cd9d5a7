"""Which engine an installed Skyrig runs: one on PATH that is new enough, else its own in the cache folder.

The choice, and getting the engine where there is none, is the work of the program tools/rig/fetch.py, as `./rig` does
it in a clone. Its answer is noted in the cache folder and holds for as long as PATH leads to the same `pulumi`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from skyrig import places
from skyrig.errors import EngineError

_INTERRUPTED = 130


def folder() -> Path:
    """The folder with the engine's programs. They are got first where they are not there: minutes, with progress on
    stderr. EngineError where there is no way to them."""
    asked = _on_path()
    known = _noted()
    if known.get("asked") == asked and os.access(Path(known["folder"], "pulumi"), os.X_OK):
        return Path(known["folder"])
    found = _fetched()
    _note({"asked": asked, "folder": str(found)})
    return found


def _on_path() -> str:
    """What tells one `pulumi` on PATH from another one, or from none."""
    found = shutil.which("pulumi")
    if found is None:
        return ""
    there = Path(found).stat()
    return f"{found} {there.st_ino} {there.st_size} {there.st_mtime_ns}"


def _fetched() -> Path:
    program = places.shipped() / "tools" / "rig" / "fetch.py"
    command = [sys.executable, "-E", "-s", "-B", str(program)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    said = done.stdout.strip()
    if done.returncode == _INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode:
        raise EngineError(said or "the Pulumi engine cannot be got")
    return Path(said)


def _file() -> Path:
    return places.cache() / "engine" / "chosen.json"


def _noted() -> dict[str, str]:
    try:
        known = json.loads(_file().read_bytes())
        return known if {"asked", "folder"} <= set(known) else {}
    except (OSError, ValueError, TypeError):
        return {}


def _note(chosen: dict[str, str]) -> None:
    descriptor, fresh = tempfile.mkstemp(dir=places.made(_file().parent), prefix=".chosen.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(chosen, out)
    Path(fresh).replace(_file())
