"""Looking at and ending processes of this machine, on Linux and macOS."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

_PROC = Path("/proc")


def gone(pid: int) -> bool:
    """Whether process `pid` has ended: there is none, or only its zombie is left."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return _PROC.joinpath("self").exists()
    return stat.rpartition(")")[2].split()[0] in "ZX"


def start_time(pid: int) -> str:
    """What tells process `pid` from a later one of the same number; "" where there is none."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        pass
    if _PROC.joinpath("self").exists():
        return ""
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip()


def having(variable: str, value: str) -> list[int]:
    """Processes whose environment, as it was when they started, has `variable` set to `value`, but not this one."""
    wanted = f"{variable}={value}".encode()
    if not _PROC.joinpath("self").exists():
        return _having_by_ps(wanted)
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            if wanted in (entry / "environ").read_bytes().split(b"\0") and not gone(int(entry.name)):
                found.append(int(entry.name))
    return found


def holding(file: Path) -> list[int]:
    """Processes that have `file` open, but not this one."""
    if not _PROC.joinpath("self").exists():
        listed = subprocess.run(["lsof", "-t", str(file)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in listed.stdout.split() if int(pid) != os.getpid()]
    wanted = file.stat()
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            opened = (descriptor.stat() for descriptor in (entry / "fd").iterdir())
            if any(os.path.samestat(wanted, one) for one in opened):
                found.append(int(entry.name))
    return found


def kill(pid: int) -> None:
    """SIGKILL to `pid`; nothing where it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _having_by_ps(wanted: bytes) -> list[int]:
    listed = subprocess.run(["ps", "-Eww", "-axo", "pid=,command="], capture_output=True, check=True)
    lines = (line.split(None, 1) for line in listed.stdout.splitlines())
    return [int(line[0]) for line in lines if len(line) == 2 and wanted in line[1] and int(line[0]) != os.getpid()]
