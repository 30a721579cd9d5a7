"""What a client keeps of jobs itself, where their cluster cannot bring it to the stack's records folder.

So `queue` and `logs` answer after such a cluster is gone: with all that this machine's clients have followed or
settled. The form is that of skyrig.launch.records.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from skyrig import places
from skyrig.cluster import cordons
from skyrig.cluster.autostop import NOTE, AutostopNote
from skyrig.cluster.description import ClusterDescription
from skyrig.launch import records
from skyrig.launch.job import JobRecord
from skyrig.launch.link import KeeperLink
from skyrig.launch.protocol import Message, ask, receive, send
from skyrig.preflight import report


def folder(desc: ClusterDescription) -> Path:
    """Where records and logs of this cluster are read."""
    return records.folder(desc.records) or places.records(desc.name)


def is_ours(desc: ClusterDescription) -> bool:
    """Whether it is the client's to keep them, for the cluster's nodes do not reach that folder."""
    return records.folder(desc.records) is None


def add(desc: ClusterDescription, record: JobRecord, end: int = 0, payload: bytes = b"") -> None:
    """Keep what was seen of a job: its record, and `payload`, which ends at byte `end` of its log. What is there
    already is not written again; what would leave a gap is not written."""
    job = places.made(folder(desc) / str(record.id))
    with (job / "job.log").open("ab") as log:
        have = log.tell()
        if end - len(payload) <= have < end:
            log.write(payload[have - end + len(payload) :])
    records.write(job, record)


def note_autostop(desc: ClusterDescription, note: AutostopNote | None) -> None:
    """Keep what the keeper said of autostop, where it is ours to keep."""
    if is_ours(desc) and note is not None:
        put(desc, NOTE, json.dumps(note.to_json()))


def put(desc: ClusterDescription, name: str, text: str) -> None:
    """Have a small file of this name hold `text`, whole."""
    path = folder(desc) / name
    fresh = places.made(path.parent) / f".{path.name}.{os.getpid()}"
    fresh.write_text(text)
    fresh.replace(path)


async def fetch_fitness(link: KeeperLink) -> None:
    """Keep what the keeper knows of the nodes' fitness, where that is ours to keep."""
    if is_ours(link.desc) and link.takes_preflights:
        note_fitness(link.desc, await link.ask({"op": "preflight"}))


def note_fitness(desc: ClusterDescription, told: Message) -> None:
    """Keep what the keeper said of cordoned nodes and its newest report, where that is ours to keep."""
    if is_ours(desc):
        put(desc, cordons.NOTE, told["cordoned"])
        if told["report"] is not None:
            for name in (report.NOTE, f"{told['report']['job']}/{report.NOTE}"):
                put(desc, name, json.dumps(told["report"]))


async def fetch(link: KeeperLink, jobs: Sequence[JobRecord]) -> None:
    """Keep the records of these jobs, and what is missing here of their logs."""
    desc = link.desc
    for job in jobs:
        log = folder(desc) / str(job.id) / "job.log"
        offset = log.stat().st_size if log.exists() else 0
        line = await link.another()
        await send(line.writer, {"op": "follow", "id": job.id, "follow": False, "offset": offset})
        while (received := await receive(line.reader)) is not None and received[0].get("event") != "end":
            if received[0].get("event") == "log":
                add(desc, job, received[0]["offset"], received[1])
        line.writer.close()
        add(desc, job)
        await fetch_samples(link, job.id)


async def fetch_samples(link: KeeperLink, job_id: int) -> None:
    """Keep what the keeper has of a job's samples."""
    if link.has_samples:
        line = await link.another()
        _, lines = await ask(line.reader, line.writer, {"op": "samples", "id": job_id})
        line.writer.close()
        path = places.made(folder(link.desc) / str(job_id)) / records.SAMPLES
        if lines:
            fresh = path.with_name(f".{path.name}.{os.getpid()}")
            fresh.write_bytes(lines)
            fresh.replace(path)
