"""rclone on this node: which one, how it mounts here, and what it is started with.

MOUNT writes streams: close() returns when the object is in the bucket, and what is opened for reading and writing at
once goes by way of a file. MOUNT_CACHED writes to the node's disk and brings it up behind the program's back.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading

from skyrig.launch.mounting.mount import REMOTE

TYPE_CHECKING = False
if TYPE_CHECKING:  # as in typing, whose import is saved
    from typing import Any

    Plan = dict[str, Any]

LEAST = (1, 68)
"""The first whose queue of uploads can be asked, and hurried."""
GUARD = '"$@" </dev/null >>log 2>&1 & echo $! >pid.new; mv pid.new pid; wait $!; echo $? >ended'
"""Runs rclone (the words) in the mount's folder, and tells how it ended."""

MODES = {
    "MOUNT": {"vfs-cache-mode": "minimal", "vfs-write-back": "100ms", "s3-chunk-size": "16Mi"},
    "MOUNT_CACHED": {
        "vfs-cache-mode": "full",
        "vfs-write-back": "1s",
        "vfs-cache-max-size": "10G",
        "transfers": "4",
        "s3-chunk-size": "16Mi",
        "s3-upload-concurrency": "8",
    },
}
"""rclone's flags by mode, where the task file says nothing else."""

ALL = {"dir-cache-time": "10s", "contimeout": "10s", "low-level-retries": "6", "use-server-modtime": ""}
"""Of both: an outage of half a minute holds programs up and does not fail them; no request per file for its time."""


class Refused(Exception):
    """A mount cannot be had; the text is one line."""


def engine(given: str) -> str:
    """The rclone to use. Refused where there is none."""
    own = os.path.expanduser("~/.skyrig/bin/rclone")
    if os.access(own, os.X_OK):
        return own
    found = shutil.which("rclone")
    if found:
        said = subprocess.run([found, "version"], capture_output=True, check=False).stdout.decode("utf-8", "replace")
        version = re.match(r"rclone v(\d+)\.(\d+)", said)
        if version and (int(version[1]), int(version[2])) >= LEAST:
            return found
    if given and os.access(given, os.X_OK):
        return given
    raise Refused("this node has no rclone (1.68 or newer)")


def helper(folder: str, program: str) -> str:
    """What rclone's PATH needs in front to find a fusermount3: "" where the system has one, else `folder`, with ours
    (the text `program`) in it. Refused where nothing can mount."""
    if not os.path.exists("/dev/fuse"):
        raise Refused("this node has no /dev/fuse")
    if shutil.which("fusermount3"):
        return ""
    theirs = shutil.which("fusermount")
    if not theirs and not (os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK)):
        raise Refused("this node has /dev/fuse and no fusermount3 (package fuse3)")
    path = os.path.join(folder, "fusermount3")
    if theirs:
        if not os.path.lexists(path):
            os.symlink(theirs, path)
    else:
        write(path + ".py", program)
        write(path, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S "$0.py" "$@"\n', 0o700)
    return folder


def way(plan: Plan, folder: str, program: str) -> tuple[str, str]:
    """How a mount can be had here ("fuse", "link" or "nfs"), and what its PATH needs in front."""
    try:
        return "fuse", helper(folder, program)
    except Refused as refused:
        if plan.get("folder"):
            return "link", ""
        if os.geteuid() == 0 and shutil.which("mount.nfs"):
            return "nfs", ""
        hint = "install fuse3 (or nfs-common, as root) there, or use mode: COPY"
        raise Refused(f"{refused}, and no mount.nfs: {hint}") from refused


def write(path: str, text: str, mode: int = 0o600) -> None:
    """Put `text` into `path`, whole or not at all."""
    fresh = f"{path}.{os.getpid()}.{threading.get_ident()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(fresh, path)


def environment(plan: Plan, secrets: dict[str, Any]) -> dict[str, str]:
    """rclone's: what it must know of the bucket, and nothing that a user has set for an rclone of his own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    return {**env, **remote(plan, secrets)}


def remote(plan: Plan, secrets: dict[str, Any]) -> dict[str, str]:
    """The variables by which rclone knows the bucket."""
    options = {**plan["remote"], **(secrets.get(plan["secret"], {}) if plan["secret"] else {})}
    return {f"RCLONE_CONFIG_{REMOTE.upper()}_{name.upper()}": str(value) for name, value in options.items()}


def command(plan: Plan, rclone: str, how: str, place: str) -> list[str]:
    """The words of a mount's rclone, run in the mount's folder."""
    flags = {**ALL, **MODES[plan["mode"]], **plan["options"]}
    if plan["remote"].get("type") != "s3":
        flags = {name: value for name, value in flags.items() if not name.startswith("s3-")}
    if how == "fuse" and (os.geteuid() == 0 or "user_allow_other" in content("/etc/fuse.conf").split()):
        flags["allow-other"] = ""
    shown = [f"--{name}={value}" if value else f"--{name}" for name, value in flags.items()]
    own = ["--config=", "--cache-dir=cache", "--rc", "--rc-no-auth", "--rc-addr=unix://rc", "--log-level=NOTICE"]
    verb = "mount" if how == "fuse" else "nfsmount"
    return [rclone, verb, f"{REMOTE}:{plan['path']}", place, *own, *shown]


def content(path: str) -> str:
    """What a file holds, "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
