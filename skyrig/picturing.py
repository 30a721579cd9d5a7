"""Pictures of jobs: their logs and samples fetched from wherever these lie now, and put together (skyrig.plots)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, cast

from attrs import evolve, frozen

from skyrig import metering, places
from skyrig.errors import BadInput, SkyrigError
from skyrig.launch import client, records
from skyrig.launch.job import JobRecord
from skyrig.plots import metrics, samples
from skyrig.plots.gathering import Gathering
from skyrig.plots.values import Picture, Training
from skyrig.stack import described, status

Notify = Callable[[str], None]

_SAMPLES_EVERY_S = 5.0
"""How often samples of a job that is followed are asked for."""

_REACH_S = 4.0
"""How long a head may take to answer with them."""


@frozen
class Subject:
    """Whose picture it is: `title`, how its log is written into a file (as it is now, or with True until it ends), the
    lines of its samples, what a file of metrics on its node holds, and one here that stands for both (None: none)."""

    title: str
    log: Callable[[BinaryIO, bool], object]
    samples: Callable[[], list[bytes]]
    left: Callable[[], bytes]
    metrics: Path | None = None


def of_job(stack: str, job_id: int | None, notify: Notify, metrics_file: Path | None = None) -> Subject:
    """A job of a cluster, the newest without `job_id`; also of one that is gone. BadInput where there is none."""
    from skyrig import verbs

    jobs = [job for job in verbs.queue(stack, notify) if job_id in (None, job.id)]
    if not jobs:
        raise BadInput(f"cluster {stack} has no job {'at all' if job_id is None else job_id}")
    job = jobs[-1]

    def log(out: BinaryIO, follow: bool) -> int:
        return verbs.logs(stack, job.id, out, _nothing, follow=follow)

    samples_of, left = partial(_samples, stack, job.id), partial(_left, stack, job)
    return Subject(f"{job.name} on {stack}, job {job.id}", log, samples_of, left, metrics_file)


def of_managed(job_id: int | None, name: str | None, task: int | None, metrics_file: Path | None = None) -> Subject:
    """A managed job over all its attempts: the newest, of a name or at all, without its number. BadInput where there
    is none."""
    from skyrig import managed
    from skyrig.jobs.following import Wanted

    managing = managed.verbs()
    job = managing.find(job_id, name).job

    def log(out: BinaryIO, follow: bool) -> int:
        return int(managing.follow(job.id, Wanted(task=task, follow=follow), out, _nothing))

    def taken() -> list[bytes]:
        tasks = [each for each in managing.find(job.id).job.tasks if task in (None, each.index)]
        return [line for each in tasks for number in each.jobs for line in _samples(each.stack, number)]

    return Subject(f"{job.name}, managed job {job.id}", log, taken, bytes, metrics_file)


def picture(subject: Subject) -> Picture:
    """What there is to see of it now. BadInput where that is nothing."""
    found = Gathering()
    if subject.metrics is None:
        subject.log(cast(BinaryIO, found), False)
        found.end()
    training = _training(subject, found)
    if not training.curves and subject.metrics is not None:
        raise BadInput(f"--metrics {subject.metrics}: no loss, throughput or learning rate in it")
    drawn = Picture(subject.title, training, samples.read(subject.samples()))
    if drawn.is_empty:
        raise BadInput(
            f"{subject.title}: no loss, throughput or learning rate in its output, and no samples of its nodes",
            hint="--metrics FILE draws a file of metrics",
        )
    return drawn


def series(subject: Subject) -> dict[str, Any]:
    """The same as plain data: `title`, what `Training.to_json` tells, and `nodes`."""
    drawn = picture(subject)
    return {"title": drawn.title, **drawn.training.to_json(), "nodes": [each.to_json() for each in drawn.nodes]}


def pictures(subject: Subject, every_s: float) -> Iterator[Picture]:
    """Its picture again and again, `every_s` seconds apart, the last when it has ended. SkyrigError where its output
    cannot be followed."""
    found = Gathering()
    with _written(subject, found) as goes_on:
        drawn = Picture(subject.title)
        taken_at = float("-inf")
        still = True
        while still:
            still = goes_on(every_s)
            training = found.training()
            if time.monotonic() - taken_at >= _SAMPLES_EVERY_S or not still:
                training = _training(subject, found)
                drawn, taken_at = evolve(drawn, nodes=samples.read(subject.samples())), time.monotonic()
            drawn = evolve(drawn, training=training if training.curves else drawn.training)
            yield drawn


@contextmanager
def _written(subject: Subject, found: Gathering) -> Iterator[Callable[[float], bool]]:
    """The job's output goes into `found` until it ends; what is given waits so many seconds for that, and tells whether
    it goes on."""
    failed: list[SkyrigError] = []

    def write() -> None:
        try:
            subject.log(cast(BinaryIO, found), True)
        except SkyrigError as error:
            failed.append(error)
        found.end()

    thread = Thread(target=write, daemon=True)
    thread.start()

    def goes_on(seconds: float) -> bool:
        thread.join(seconds)
        if failed:
            raise failed[0]
        return thread.is_alive()

    yield goes_on


def _training(subject: Subject, found: Gathering) -> Training:
    """What its output tells, or else the file that it has left on its node; or the one that stands for both."""
    if subject.metrics is not None:
        return metrics.of_file(subject.metrics)
    training = found.training()
    return training if training.curves else metrics.of_bytes(subject.left())


def _samples(stack: str, job_id: int) -> list[bytes]:
    """The lines of a job's samples, from where they are kept; none where none were taken."""
    cluster = described.known(stack)
    if cluster is not None and not cluster.scheduler:
        with suppress(SkyrigError):  # a head that does not answer, or is stopped: what was kept of them is shown
            asyncio.run(client.samples(cluster, job_id, _REACH_S))
    return records.samples(places.records(stack), job_id)


def _left(stack: str, job: JobRecord) -> bytes:
    """The file of metrics that a job has left on its node; b"" where none is to be had."""
    cluster = described.known(stack)
    if cluster is None or cluster.scheduler or status.stopped(cluster):
        return b""
    try:
        return metering.fetched(cluster, job)
    except SkyrigError:  # a node that does not answer has none to show
        return b""


def _nothing(line: str) -> None:
    """Passes over what is said of the job's states."""
