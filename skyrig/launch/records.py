"""Job records and logs that outlive their cluster: one folder a job, `record.json`, `job.log` and, of
jobs that ran for a while, `job.samples`.

The keeper brings them there while the job runs; when head or cluster are gone, `queue` and `logs` read them here.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from attrs import evolve

from skyrig.errors import BadInput
from skyrig.launch.job import CONVERTER, LOST_NODE, JobRecord, JobStatus
from skyrig.launch.lines import NOTE, Shown, tail_offset

LOST = "lost node: the job's head went away before it ended"
"""Reason of a job whose keeper wrote no end of it."""

SAMPLES = "job.samples"
"""What the nodes were used for while the job ran, beside its log."""


def folder(url: str) -> Path | None:
    """The folder that a `file://` url names; None for other schemes (they are not written from the nodes yet)."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def read(base: Path) -> list[JobRecord]:
    """Every record under `base` as it was last written, oldest first. What a dying machine left half is skipped."""
    found = []
    for path in base.glob("*/record.json"):
        if path.parent.name.isdigit():
            with suppress(ValueError, OSError):
                found.append(CONVERTER.structure(json.loads(path.read_text()), JobRecord))
    return sorted(found, key=lambda record: record.id)


def queue(base: Path) -> list[JobRecord]:
    """The records of a cluster that is gone: a job that had not ended there is FAILED with the code of a lost node, and
    its reason says so. It ended, as far as anybody knows, when its record or its log was last written."""
    return [record if record.status.ended else _lost(base, record) for record in read(base)]


def _lost(base: Path, record: JobRecord) -> JobRecord:
    reason = f"{LOST} ({record.reason})" if record.reason else LOST
    return evolve(
        record, status=JobStatus.FAILED, reason=reason, exit_code=LOST_NODE, ended_at=_last_sign(base, record)
    )


def _last_sign(base: Path, record: JobRecord) -> float:
    """When something of a job was last written, in seconds since the epoch."""
    files = [base / str(record.id) / name for name in ("record.json", "job.log")]
    return max([record.submitted_at, record.started_at, *(file.stat().st_mtime for file in files if file.exists())])


def read_one(base: Path, job_id: int) -> JobRecord:
    """One record as it was last written (OSError, ValueError)."""
    return CONVERTER.structure(json.loads((base / str(job_id) / "record.json").read_text()), JobRecord)


def samples(base: Path, job_id: int) -> list[bytes]:
    """The kept lines of what a job's nodes were used for (skyrig.plots.samples); none where none were taken."""
    try:
        return (base / str(job_id) / SAMPLES).read_bytes().splitlines()
    except OSError:
        return []


def end_lost(base: Path, job_id: int, reason: str) -> None:
    """Write into a kept record, if it has not ended, that the job was lost and why: its keeper no longer can."""
    record = read_one(base, job_id)
    if record.status.ended:
        return
    moment = time.strftime("%H:%M:%S", time.localtime(_last_sign(base, record)))
    with (base / str(job_id) / "job.log").open("ab") as log:
        log.write(b"%d|what came after %s is missing: %s\n" % (NOTE, moment.encode(), reason.encode()))
    lost = evolve(record, status=JobStatus.FAILED, exit_code=LOST_NODE, reason=reason, ended_at=time.time())
    write(base / str(job_id), lost)


def write(folder: Path, record: JobRecord) -> None:
    """Write a record into its job's folder, whole or not at all (OSError). One that has ended is on disk when this
    returns; others are soon replaced."""
    fresh = folder / f".record.{os.getpid()}"
    try:
        with fresh.open("w") as file:
            file.write(json.dumps(CONVERTER.unstructure(record)))
            file.flush()
            if record.status.ended:
                os.fsync(file.fileno())
        fresh.replace(folder / "record.json")
    finally:
        fresh.unlink(missing_ok=True)


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
    if not read_one(base, wanted).status.ended:
        moment = time.strftime("%H:%M:%S", time.localtime(_last_sign(base, record)))
        out.write(b"(skyrig) what came after %s is missing: %s\n" % (moment.encode(), record.reason.encode()))
    out.flush()
    return record.exit_code if record.exit_code is not None else 0
