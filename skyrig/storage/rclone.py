"""rclone, run on this machine: to bring files into buckets, out of them, and from one into another."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.errors import BadInput, SkyrigError
from skyrig.storage import programs
from skyrig.storage.remote import Remote

_NOT_THERE = 3
_FILE_NOT_THERE = 4
"""rclone's exit codes for a folder, and a file, that is not there (rclone.org/docs, "Exit code")."""

_PREFIX = re.compile(r"^[\d/]+ [\d:]+ (?:ERROR|CRITICAL|NOTICE)\s*: (?:Fatal error: )?")
_RETRIES = ("--retries", "2", "--low-level-retries", "4", "--contimeout", "15s")


class StorageError(SkyrigError):
    """A bucket could not be read or written; the message holds the store's own reason."""


class NotThere(StorageError, BadInput):
    """The bucket, or what is named in it, is not there."""


def run(words: Sequence[str], remotes: Mapping[str, Remote], *, what: str, given: bytes = b"") -> bytes:
    """rclone's standard output. `remotes` are what its paths name as NAME:...; `what` says for errors what was done to
    what; `given` is its standard input. NotThere or StorageError where it fails."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    for name, remote in remotes.items():
        env |= remote.environment(name)
    env["RCLONE_CONFIG"] = ""  # no config file of the user's takes part
    done = subprocess.run(
        [str(programs.rclone()), *words, *_RETRIES], env=env, input=given, capture_output=True, check=False
    )
    if done.returncode == 0:
        return done.stdout
    reason = _reason(done.stderr.decode(errors="replace"))
    if done.returncode in (_NOT_THERE, _FILE_NOT_THERE):
        raise NotThere(f"{what}: {reason}", hint="`storage.ls` shows the buckets that are known here")
    raise StorageError(f"{what}: {reason}", hint="see that the bucket is there and its keys are right")


def objects(path: str, remote: Remote) -> list[dict[str, Any]]:
    """What lies in `path` of a remote, not further down: rows with "Path", "Size" (bytes), "ModTime" and "IsDir"."""
    listed = run(["lsjson", f"skyrig:{path}"], {"skyrig": remote}, what=f"list {path}")
    found: list[dict[str, Any]] = json.loads(listed)
    return found


def is_folder(path: str, remote: Remote) -> bool | None:
    """Whether a path of a remote is a folder (or a bucket); None where nothing is there: stores know no folders, only
    that something lies in one."""
    try:
        said = run(["lsjson", "--stat", f"skyrig:{path}"], {"skyrig": remote}, what=f"look at {path}")
    except NotThere:
        return None
    found = json.loads(said)
    if not found or not found["IsDir"]:
        return False if found else None
    is_bucket = "/" not in path.strip("/")
    return True if is_bucket or objects(path, remote) else None


def _reason(said: str) -> str:
    """The line in which rclone says why, as short as it can be."""
    lines = [_PREFIX.sub("", line).strip() for line in said.splitlines() if line.strip()]
    named = [line for line in lines if "StatusCode" in line or "error" in line.lower()] or lines
    return named[-1][:300] if named else "no reason given"
