"""Job records and logs that outlive their cluster: one folder a job, `record.json` and `job.log`.

The keeper brings them there while the job runs; when head or cluster are gone, `queue` and `logs` read them here.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from attrs import evolve

from skyrig.errors import BadInput
from skyrig.launch.job import CONVERTER, LOST_NODE, JobRecord, JobStatus
from skyrig.launch.lines import Shown, tail_offset

LOST = "lost with its cluster"
"""Reason of a job whose cluster went away before it ended."""


def folder(url: str) -> Path | None:
    """The folder that a `file://` url names; None for other schemes (they are not written from the nodes yet)."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def read(base: Path) -> list[JobRecord]:
    """Every record under `base` as it was last written, oldest first."""
    found = []
    for path in base.glob("*/record.json"):
        if path.parent.name.isdigit():
            found.append(CONVERTER.structure(json.loads(path.read_text()), JobRecord))
    return sorted(found, key=lambda record: record.id)


def queue(base: Path) -> list[JobRecord]:
    """The records of a cluster that is gone: a job that had not ended there is FAILED, and its reason says so."""
    return [
        record
        if record.status.ended
        else evolve(record, status=JobStatus.FAILED, reason=record.reason or LOST, exit_code=LOST_NODE)
        for record in read(base)
    ]


def end_lost(base: Path, job_id: int, reason: str) -> None:
    """Write into a kept record, if it has not ended, that the job was lost and why: its keeper no longer can."""
    path = base / str(job_id) / "record.json"
    record = CONVERTER.structure(json.loads(path.read_text()), JobRecord)
    if not record.status.ended:
        write(
            path.parent,
            evolve(record, status=JobStatus.FAILED, exit_code=LOST_NODE, reason=reason, ended_at=time.time()),
        )


def write(folder: Path, record: JobRecord) -> None:
    """Write a record into its job's folder, whole or not at all."""
    fresh = folder / f".record.{os.getpid()}"
    fresh.write_text(json.dumps(CONVERTER.unstructure(record)))
    fresh.replace(folder / "record.json")


def next_id(base: Path | None) -> int:
    """The lowest job id that was never given on this stack."""
    if base is None or not base.is_dir():
        return 1
    return max((int(path.name) for path in base.iterdir() if path.name.isdigit()), default=0) + 1


def logs(base: Path, job_id: int | None, *, rank: int | None, tail: int | None, out: BinaryIO) -> int:
    """Write the kept log of a job (None: the newest) to `out`; returns the job's exit code. BadInput if unknown."""
    known = {record.id: record for record in queue(base)}
    wanted = max(known, default=0) if job_id is None else job_id
    if wanted not in known:
        listed = ", ".join(map(str, known)) or "none"
        raise BadInput(f"no record of job {wanted}", hint=f"kept jobs: {listed}")
    record, path = known[wanted], base / str(wanted) / "job.log"
    shown = Shown(record, record.cluster, rank=rank)
    if path.exists():
        with path.open("rb") as file:
            file.seek(0 if tail is None else tail_offset(path, tail, rank=rank))
            for line in file:
                out.write(shown.show(line))
    out.write(shown.finish())
    out.flush()
    return record.exit_code if record.exit_code is not None else 0
