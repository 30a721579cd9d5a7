"""Requests of jobs that have not ended: one 0600 file a job, on tmpfs, since they hold secrets; gone with the job."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from skyrig.launch.job import CONVERTER, JobRequest

_TMPFS = Path("/dev/shm")


class RequestStore:
    """The folder of those files. Where there is no tmpfs of the node's own (macOS, `plain` local nodes) it lies in
    `home`, the keeper's own folder, readable by the owner alone."""

    def __init__(self, home: Path, *, own_tmpfs: bool) -> None:
        name = f"skyrig-{os.getuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
        self._folder = _TMPFS / name if own_tmpfs and _TMPFS.is_dir() else home / "requests"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_uid != os.getuid() or self._folder.stat().st_mode & 0o077:
            raise PermissionError(f"{self._folder} is not ours alone")

    def put(self, job_id: int, request: JobRequest) -> None:
        """Keep a request, whole or not at all (OSError, which names the file: there is no room)."""
        fresh = self._folder / f".{job_id}.new"
        try:
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(CONVERTER.unstructure(request)))
            fresh.replace(self._folder / f"{job_id}.json")
        except OSError as problem:
            fresh.unlink(missing_ok=True)
            raise OSError(problem.errno, os.strerror(problem.errno or 0), str(self._folder)) from problem

    def get(self, job_id: int) -> JobRequest | None:
        """The request of a job; None if the node was restarted since."""
        try:
            return CONVERTER.structure(json.loads((self._folder / f"{job_id}.json").read_text()), JobRequest)
        except FileNotFoundError:
            return None

    def drop(self, job_id: int) -> None:
        """Forget a request."""
        (self._folder / f"{job_id}.json").unlink(missing_ok=True)

    def ids(self) -> set[int]:
        """Ids of the jobs whose requests are here."""
        return {int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdigit()}
