"""Managed jobs as wards: what a client writes down before anything is made, and what is read from it later.

The ward's name is the job's number, its stack the cluster of the task that is at work. In the ward's data, `job` is all
that is known of the job; the controller's care alone writes it, its children leave what they have done under other
names. All of it stands beside the job's stacks as well (skyrig.jobs.kept), with the packages of its tasks, so that the
controller's own folder can be lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from skyrig.control import client, folder, package, surroundings, table
from skyrig.control.ward import JOB, Ward, Wish
from skyrig.errors import BadInput
from skyrig.jobs import kept
from skyrig.jobs.kept import Kept
from skyrig.jobs.spec import ManagedSpec, RecoverySpec
from skyrig.jobs.state import CONVERTER, ManagedJob, ManagedStatus
from skyrig.task.model import Task

Notify = Callable[[str], None]
"""Takes one line for the reader."""


def enter(job: ManagedJob, tasks: Sequence[Task], spec: ManagedSpec, notify: Notify = lambda line: None) -> Ward:
    """Write a new job down: its packages, then its ward. BadInput where a file cannot be read, and then nothing is
    left. Call it with the ward held (`control.client.holding`); its number is `table.number(JOB)`."""
    name = str(job.id)
    more = {"spec": CONVERTER.unstructure(spec)}
    surroundings.keep(JOB, name)
    around = folder.surroundings(JOB, name).read_bytes()
    try:
        for task, state in zip(tasks, job.tasks, strict=True):
            package.pack(task, kept.package(state.stack, state.index), more=more, secrets={}, notify=notify)
            surroundings.put(kept.surroundings(state.stack), around)
    except BaseException:
        kept.drop(kept.stacks(job))
        raise
    known = {"job": CONVERTER.unstructure(job), **more}
    ward = table.enter(Ward(name, job.current.stack, JOB, version=len(tasks), status=str(job.status), data=known))
    for stack in kept.stacks(job):
        _keep(ward, job, stack)
    return ward


def job(ward: Ward) -> ManagedJob:
    """All that is known of the job."""
    return CONVERTER.structure(ward.data["job"], ManagedJob)


def spec(ward: Ward) -> ManagedSpec:
    """What the job is asked to be; what is usual where nobody knows that any more."""
    given = ward.data.get("spec")
    known = job(ward)
    usual = ManagedSpec(tuple(RecoverySpec() for _ in known.tasks), user=known.user)
    return CONVERTER.structure(given, ManagedSpec) if given is not None else usual


def task(ward: Ward, index: int) -> Task:
    """One task of the job, whose paths lie in its package, with environment and secrets. SkyrigError where it cannot be
    read."""
    return package.opened(kept.package(job(ward).tasks[index].stack, index)).task


def put(ward: Ward, known: ManagedJob, *, data: Mapping[str, Any] | None = None, **fields: object) -> Ward | None:
    """Write what is known of the job down, with more `data`, beside its stack first; None where the ward is gone."""
    there = table.ward(ward.name, JOB)
    if there is None:
        return None
    now = known.current
    wish = Wish(str(fields.get("wish", there.wish)))
    status = ManagedStatus.CANCELLING if wish is Wish.GONE and not now.status.ended else now.status
    _keep(evolve(there, wish=wish), known, now.stack)
    more = {"job": CONVERTER.unstructure(known), **(data or {})}
    return table.change(ward.name, JOB, stack=now.stack, status=str(status), data=more, **fields)


def past(ward: Ward, known: ManagedJob) -> None:
    """Write down that the job has ended and nothing is left of it: its packages go, its row and its log stay."""
    there = table.ward(ward.name, JOB) or ward
    for stack in kept.stacks(known):
        _keep(evolve(there, wish=Wish.PAST), known, stack)
    kept.thin(kept.stacks(known))
    folder.clear(JOB, ward.name)
    put(ward, known, wish=Wish.PAST)


def cancel(job_id: int) -> Ward:
    """Write down that a job shall go; what else the controller is doing for it ends as by Ctrl-C. BadInput where there
    is none of that number, or it has ended."""
    there = table.ward(str(job_id), JOB)
    if there is None or there.wish is Wish.PAST:
        how = "there is no managed job" if there is None else "ended already: managed job"
        raise BadInput(f"{how} {job_id}", hint="`jobs.queue` lists them")
    _keep(evolve(there, wish=Wish.GONE), job(there), there.stack)
    found = table.change(there.name, JOB, wish=Wish.GONE)
    client.poke(there.name)
    return found or there


def _keep(ward: Ward, known: ManagedJob, stack: str) -> None:
    """Write the job down beside one of its stacks."""
    asked = spec(ward)
    kept.write(stack, Kept(known, asked, ward.wish is Wish.GONE, ward.wish is Wish.PAST, time.time()))
