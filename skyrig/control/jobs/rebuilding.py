"""Managed jobs found again when the controller's folder was lost: their wards are entered anew out of what stands
beside their stacks, or, where that is gone too, out of the mark in the stack's config and the records of its jobs.

No engine runs for that, and where nothing was lost it costs a stat for each stack and one look at the table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from attrs import evolve

from skyrig import places
from skyrig.control import client, folder, surroundings, table
from skyrig.control.ward import JOB, Ward, Wish
from skyrig.errors import SkyrigError
from skyrig.jobs import kept
from skyrig.jobs.kept import Kept
from skyrig.jobs.state import CONVERTER, ManagedJob, ManagedStatus, TaskState
from skyrig.launch import client as launching
from skyrig.launch import records
from skyrig.launch.job import JobRecord
from skyrig.stack import config, described, project, stacks

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_SETTLED = "settled"
"""The fact that the past jobs have been looked for since the table was made."""


def settle(notify: Notify = lambda line: None) -> list[int]:
    """Enter the wards of managed jobs that the table has lost, tell of them in a line, and start the controller where
    one of them goes on; their numbers. Any command may call it."""
    is_new = table.fact(_SETTLED) is None
    found = kept.every(past=is_new)
    if is_new:
        found += _marked({each.job.id for each in found})
    lost = _lost(found)
    for each in lost:
        table.at_least(JOB, each.job.id)
        _enter(each)
    if is_new and table.is_there():
        table.note(_SETTLED, True)
    going = [each.job.id for each in lost if not each.past]
    if going:
        many = "s" if len(going) > 1 else ""
        notify(f"the controller had lost managed job{many} {', '.join(map(str, going))}: found again beside its stacks")
        client.ensure()
    return going


def _lost(found: list[Kept]) -> list[Kept]:
    """Those of the jobs whose wards the table lacks."""
    if not found:
        return []
    known = {ward.name for ward in table.wards(JOB, past=True)}
    return [each for each in found if str(each.job.id) not in known]


def _enter(found: Kept) -> None:
    """One ward as it was. Who enters it at the same time writes the same."""
    name, known = str(found.job.id), found.job
    wish = Wish.PAST if found.past else Wish.GONE if found.going else Wish.UP
    around = kept.surroundings(known.current.stack)
    if not folder.surroundings(JOB, name).exists():
        if around.exists():
            surroundings.put(folder.surroundings(JOB, name), around.read_bytes())
        elif not found.past:
            surroundings.keep(JOB, name)  # this command sees the stack, so what is around it will do
    if not found.past:
        known = caught_up(known, records.read(places.records(known.current.stack)))
    data = {
        "job": CONVERTER.unstructure(known),
        "spec": CONVERTER.unstructure(found.spec) if found.spec is not None else None,
        "told": _told(known),
        "cleared": known.current.index if found.spec is None else None,
    }
    data = {name: value for name, value in data.items() if value is not None}
    status = str(ManagedStatus.CANCELLING if found.going and not found.past else known.status)
    ward = Ward(name, known.current.stack, JOB, wish=wish, version=len(known.tasks), status=status, data=data)
    table.enter(ward, only_new=True)


def _told(known: ManagedJob) -> dict[str, object] | None:
    """What the controller notes once a head has taken an attempt: one that is at work was taken, by the head that there
    is. Others are submitted again, which changes nothing where the head has them."""
    now = known.current
    if now.status not in (ManagedStatus.SETTING_UP, ManagedStatus.RUNNING) or not now.attempt:
        return None
    cluster = described.known(now.stack)
    head = cluster.head.incarnation if cluster is not None else ""
    return {"key": now.key(known.id), "head": head, "job": now.jobs[-1] if now.jobs else 0}


def caught_up(known: ManagedJob, there: list[JobRecord]) -> ManagedJob:
    """The job with as many attempts of its current task as the records of its cluster tell of: a submission may have
    been made after the job was last written down."""
    now = known.current
    ours = {number: record for record in there if (number := _attempt(known.id, now.index, record.key))}
    newest = max(ours, default=0)
    if newest < now.attempt or not newest:
        return known
    jobs = tuple(dict.fromkeys((*now.jobs, *(ours[number].id for number in sorted(ours)))))
    task = evolve(now, attempt=newest, jobs=jobs, started_at=now.started_at or ours[min(ours)].submitted_at)
    tasks = tuple(task if each.index == now.index else each for each in known.tasks)
    return evolve(known, tasks=tasks)


def _attempt(number: int, index: int, key: str) -> int:
    """The attempt that a job of the cluster is, by its key; 0 where it is none of this task's."""
    begin = f"managed-{number}-{index}-"
    rest = key[len(begin) :] if key.startswith(begin) else ""
    return int(rest) if rest.isdigit() else 0


def _marked(known: set[int]) -> list[Kept]:
    """Jobs that only the configs of stacks tell of: what they ran is gone, so they are followed to their end."""
    found = []
    for file in project.config_files():
        stack = file.name.removeprefix("Pulumi.").removesuffix(".yaml")
        try:
            shape = config.read_shape(stack) if "managed" in file.read_text() else None
        except (SkyrigError, OSError, UnicodeDecodeError):
            continue  # a config that cannot be read is told to who uses that stack
        mark = kept.marked(shape.managed) if shape is not None and shape.power != "down" else None
        if shape is not None and mark is not None and mark[0] not in known and stacks.is_there(stack):
            known.add(mark[0])
            poor = _poor(stack, mark, len(shape.nodes), _jobs_of(stack))
            found.append(Kept(poor, None, going=False, past=False, at=time.time()))
    return found


def _jobs_of(stack: str) -> list[JobRecord]:
    """The jobs of a cluster that is all there is of a managed job: as its head says, else as they are kept."""
    try:
        cluster = described.last(stack)
        if cluster is not None:
            return asyncio.run(launching.queue(cluster))
    except SkyrigError:
        pass  # the head is away: whoever cares for the job finds out what that means
    return records.read(places.records(stack))


def _poor(stack: str, mark: tuple[int, int], nodes: int, there: list[JobRecord]) -> ManagedJob:
    """What can be said of a job that only its cluster knows of: the tasks before this one have ended well."""
    number, index = mark
    name = stack.removesuffix(f"-{number}")
    ours = [record for record in there if _attempt(number, index, record.key)]
    began = min((record.submitted_at for record in ours), default=time.time())
    before = tuple(
        TaskState(each, name, "", stack, nodes, status=ManagedStatus.SUCCEEDED, reason="nothing else is known of it")
        for each in range(index)
    )
    status = ManagedStatus.RUNNING if ours else ManagedStatus.STARTING
    now = TaskState(index, name, "", stack, nodes, status=status, started_at=began)
    if ours:
        newest = max(_attempt(number, index, record.key) for record in ours)
        now = evolve(now, attempt=newest, jobs=tuple(record.id for record in ours))
    return ManagedJob(number, name, (*before, now), began, ours[-1].user if ours else "")
