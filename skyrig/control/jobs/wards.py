"""Managed jobs as wards: what a client writes down before anything is made, and what is read from it later.

The ward's name is the job's number, its stack the cluster of the task that is at work. Each task is a package of its
own, numbered from 1. In the ward's data, `job` is all that is known of the job; the controller's care alone writes it,
its children leave what they have done under other names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from skyrig.control import client, folder, package, surroundings, table
from skyrig.control.ward import JOB, Ward, Wish
from skyrig.errors import BadInput
from skyrig.jobs.spec import ManagedSpec
from skyrig.jobs.state import CONVERTER, ManagedJob, ManagedStatus
from skyrig.task.model import Task

Notify = Callable[[str], None]
"""Takes one line for the reader."""


def enter(job: ManagedJob, tasks: Sequence[Task], spec: ManagedSpec, notify: Notify = lambda line: None) -> Ward:
    """Write a new job down: its packages, then its ward. BadInput where a file cannot be read, and then nothing is
    left. Call it with the ward held (`control.client.holding`); its number is `table.number(JOB)`."""
    name = str(job.id)
    surroundings.keep(JOB, name)
    for index, task in enumerate(tasks):
        more = {"spec": CONVERTER.unstructure(spec)}
        package.pack(task, folder.version(JOB, name, index + 1), more=more, secrets={}, notify=notify)
    known = {"job": CONVERTER.unstructure(job)}
    return table.enter(Ward(name, job.current.stack, JOB, version=len(tasks), status=str(job.status), data=known))


def job(ward: Ward) -> ManagedJob:
    """All that is known of the job."""
    return CONVERTER.structure(ward.data["job"], ManagedJob)


def spec(ward: Ward) -> ManagedSpec:
    """What the job is asked to be. SkyrigError where its package cannot be read."""
    return CONVERTER.structure(package.more(folder.version(JOB, ward.name, 1))["spec"], ManagedSpec)


def task(ward: Ward, index: int) -> Task:
    """One task of the job, whose paths lie in its package, with environment and secrets. SkyrigError where it cannot be
    read."""
    return package.opened(folder.version(JOB, ward.name, index + 1)).task


def put(ward: Ward, known: ManagedJob, *, data: Mapping[str, Any] | None = None, **fields: object) -> Ward | None:
    """Write what is known of the job down, with more `data`; None where the ward is gone."""
    now = known.current
    status = ManagedStatus.CANCELLING if ward.wish is Wish.GONE and not now.status.ended else now.status
    more = {"job": CONVERTER.unstructure(known), **(data or {})}
    return table.change(ward.name, JOB, stack=now.stack, status=str(status), data=more, **fields)


def past(ward: Ward, known: ManagedJob) -> None:
    """Write down that the job has ended and nothing is left of it: its packages go, its row and its log stay."""
    put(evolve(ward, wish=Wish.PAST), known, wish=Wish.PAST)
    folder.clear(JOB, ward.name)


def cancel(job_id: int) -> Ward:
    """Write down that a job shall go; what else the controller is doing for it ends as by Ctrl-C. BadInput where there
    is none of that number, or it has ended."""
    there = table.ward(str(job_id), JOB)
    if there is None or there.wish is Wish.PAST:
        how = "there is no managed job" if there is None else "ended already: managed job"
        raise BadInput(f"{how} {job_id}", hint="`jobs.queue` lists them")
    found = table.change(there.name, JOB, wish=Wish.GONE)
    client.poke(there.name)
    return found or there
