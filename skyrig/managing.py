"""The verbs of managed jobs: launch, queue, logs, cancel.

All that can be wrong with a job, and what it costs, is found out first; then it is written down as a ward of the
controller's, which does everything else: wherever the command that asked for it ends, the job goes on.
"""

from __future__ import annotations

import asyncio
import getpass
import re
import secrets
import signal
import string
import threading
import time
from collections.abc import Coroutine, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from attrs import evolve, frozen

from skyrig import batching, fitting, places, renting, submitting
from skyrig.bringing import Confirm, Notify
from skyrig.cluster.policy import NO_WISH
from skyrig.cluster.policy import Wish as Limits
from skyrig.cluster.shape import Shape, stack_name
from skyrig.control import client as controller
from skyrig.control import folder, table
from skyrig.control.client import ControllerState
from skyrig.control.jobs import rebuilding, wards
from skyrig.control.ward import JOB, Ward, Wish
from skyrig.errors import BadInput, NotYet
from skyrig.jobs import asked, following
from skyrig.jobs.following import Source, Wanted
from skyrig.jobs.given import task_id
from skyrig.jobs.seen import Seen
from skyrig.jobs.spec import ManagedSpec
from skyrig.jobs.state import ManagedJob, ManagedStatus, TaskState
from skyrig.serve.client import told
from skyrig.stack import stacks
from skyrig.task.model import Task, TaskFile
from skyrig.task.service import Pool

_UNNAMED = "sky-cmd"
_LETTERS = string.ascii_lowercase + string.digits
_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")


@frozen
class Options:
    """What a caller may say about a managed job besides its tasks: its `name`, what each of its clusters may cost and
    how long it lives (`wish`), and whether capacity that is not there is waited for (`retry`)."""

    name: str = ""
    wish: Limits = NO_WISH
    retry: bool = True


@frozen
class Queue:
    """Managed jobs, oldest first, and how the controller was found: where jobs are open it is at work by now."""

    jobs: tuple[Seen, ...]
    controller: ControllerState


@frozen
class _Checked:
    """A task that can be run, the cluster that it would get now, and that in words, with its price."""

    task: Task
    shape: Shape
    quoted: str


def launch(file: TaskFile, options: Options, notify: Notify, confirm: Confirm) -> ManagedJob:
    """Have the tasks of a file run as a managed job, one after another, each on a cluster of its own. Returns once the
    job is the controller's. BadInput or NoCapacity, and nothing is made or written, for all that can be wrong."""
    _refuse(file)
    rebuilding.settle(notify)
    recovery = tuple(asked.recovery(task) for task in file.tasks)
    checked = [_checked(task, options, notify) for task in file.tasks]
    name = options.name or file.name or checked[0].task.name or _UNNAMED
    _agree(name, checked, confirm)
    number = table.number(JOB)
    with controller.holding(str(number), JOB, notify=notify):
        job = _job(number, name, checked)
        spec = ManagedSpec(recovery, retry=options.retry, user=job.user, wish=options.wish)
        wards.enter(job, [each.task for each in checked], spec, notify)
        controller.ensure()
    made = ", then ".join(each.stack for each in job.tasks)
    notify(f"managed job {number} ({name}) submitted; its cluster is {made}")
    return job


def queue(
    job_ids: Sequence[int] | None = None,
    *,
    skip_finished: bool = False,
    refresh: bool = False,
    notify: Notify = lambda line: None,
) -> Queue:
    """Managed jobs, those of the numbers or all; with `refresh` the controller looks at each of them now, and what it
    finds is there a moment later. Those that the controller has lost are found again. BadInput for a number that there
    is none of."""
    rebuilding.settle(notify)
    there = {int(ward.name): ward for ward in table.wards(JOB, past=True)}
    for job_id in job_ids or ():
        if job_id not in there:
            raise _no_such_job(job_id)
    at_work = controller.state()
    if not at_work.alive and any(ward.wish is not Wish.PAST for ward in there.values()):
        controller.ensure()
    for ward in there.values() if refresh and at_work.alive else ():
        if ward.wish is not Wish.PAST:
            controller.poke(ward.name)
    found = [_seen(there[number]) for number in sorted(there) if job_ids is None or number in job_ids]
    return Queue(tuple(each for each in found if not (skip_finished and each.status.ended)), at_work)


def find(job_id: int | None = None, name: str | None = None) -> Seen:
    """The job of a number, else the newest, of that name if one is given. BadInput where there is none."""
    found = queue().jobs
    known = [each for each in found if job_id in (None, each.job.id) and name in (None, each.job.name)]
    if not known:
        raise _no_such_job(job_id) if job_id is not None else _none_called(name)
    return known[-1]


def follow(job_id: int, wanted: Wanted, out: BinaryIO, notify: Notify, *, fresh: bool = False) -> int:
    """Write a job's output over all its attempts to `out`, and with `wanted.follow` go on until it has ended; its exit
    code, 0 while it goes on. Of a `fresh` one it is told too what the controller does. Ctrl-C ends the following alone,
    with 0."""
    lines = _Lines(folder.log(JOB, str(job_id)))
    source = Source(partial(_look, job_id), lines.new) if fresh else Source(partial(_look, job_id))
    now = _interruptible(following.follow(source, wanted, out, notify))
    if now is None:
        notify(
            f"detached; managed job {job_id} goes on: `jobs.logs -j {job_id}` shows it, "
            f"`jobs.cancel -j {job_id}` ends it"
        )
        return 0
    return now.exit_code if now.status.ended else 0


def controller_log(job_id: int, out: BinaryIO, *, follow: bool, tail: int | None) -> None:
    """Write what the controller did for a job to `out`, and with `follow` go on until the job has ended."""
    file = folder.log(JOB, str(job_id))
    if not file.exists() and _look(job_id) is None:
        raise _no_such_job(job_id)
    told.file(file, out, follow=follow, tail=tail, until=partial(_is_past, job_id))


def saved_logs(job_id: int, base: Path, notify: Notify) -> list[Path]:
    """Write the output of each rank of each attempt of a job into files of its own under `base`."""
    files = []
    for task in find(job_id).job.tasks:
        for position in range(len(task.jobs)):
            target = folder_of(base, job_id) / f"task-{task.index}" / f"attempt-{position + 1}"
            target.mkdir(parents=True, exist_ok=True)
            for rank in range(task.num_nodes):
                wanted = Wanted(task=task.index, attempt=position, rank=rank, follow=False)
                files.append(target / f"rank-{rank}.log")
                with files[-1].open("wb") as out:
                    follow(job_id, wanted, out, notify)
    return files


def folder_of(base: Path, job_id: int) -> Path:
    """Where `saved_logs` writes."""
    return base / f"managed-job-{job_id}"


def chosen(job_ids: Sequence[int], names: Sequence[str], *, everything: bool) -> list[Seen]:
    """The jobs that shall be cancelled: those of the numbers, those of the names or patterns that have not ended, or
    all that have not. BadInput where one is not there, or has ended."""
    there = queue().jobs
    living = [each for each in there if not each.status.ended]
    if everything:
        return living
    for job_id in job_ids:
        if job_id not in [each.job.id for each in there]:
            raise _no_such_job(job_id)
        if job_id not in [each.job.id for each in living]:
            raise BadInput(f"managed job {job_id} has ended already", hint="`jobs.queue` tells how")
    for name in names:
        if not any(fnmatchcase(each.job.name, name) for each in living):
            raise _none_called(name)
    return [each for each in living
            if each.job.id in job_ids or any(fnmatchcase(each.job.name, name) for name in names)]  # fmt: skip


def cancel(jobs: Sequence[Seen], notify: Notify, confirm: Confirm) -> list[int]:
    """Cancel jobs: what runs of them ends, and their clusters go; the controller does that, also when this returns. The
    numbers of the jobs."""
    if not jobs:
        return []
    which = ", ".join(f"{each.job.id} ({each.job.name})" for each in jobs)
    if not confirm(f"cancel managed job{'s' if len(jobs) > 1 else ''} {which}?"):
        raise BadInput(f"managed job {which}: nothing was changed")
    for each in jobs:
        wards.cancel(each.job.id)
    controller.ensure()
    for each in jobs:
        notify(f"managed job {each.job.id} is cancelled: its cluster {each.job.current.stack} goes")
    return [each.job.id for each in jobs]


def _refuse(file: TaskFile) -> None:
    """BadInput for what can be no managed job."""
    file.require_files()
    if file.execution == "parallel":
        raise NotYet("job groups (execution: parallel): not yet in this version of Skyrig", hint="a pipeline runs")
    for task in file.tasks:
        batching.refuse_managed(task)
        if isinstance(task.service, Pool):
            raise NotYet("pools of workers (pool): not yet in this version of Skyrig")
        if not task.run:
            raise BadInput(f"task {task.name or _UNNAMED} has nothing to run", hint="give it a `run` text")


def _checked(task: Task, options: Options, notify: Notify) -> _Checked:
    """A task with all found that can be wrong with it. BadInput, NoCapacity."""
    if submitting.autostop_of(task) is not None:
        notify(f"{task.name or _UNNAMED}: autostop says nothing here: a managed job's cluster goes when its task ends")
        task = evolve(task, choice=_without_autostop(task))
    shape = submitting.for_new_cluster(task, submitting.RunOptions(wish=options.wish), notify)
    for line in stacks.within_limits(stack_name(_clean(task.name or _UNNAMED)), shape):
        notify(line)
    return _Checked(task, shape, renting.quoted(shape, fitting.others(Shape(), shape, task)))


def _without_autostop(task: Task) -> Any:
    return evolve(task.choice, each=tuple(evolve(each, autostop=None) for each in task.choice.each))


def _agree(name: str, checked: Sequence[_Checked], confirm: Confirm) -> None:
    """Show what will be paid, and ask, once for all tasks. BadInput where the answer is no."""
    paid = [each for each in checked if each.shape.is_rented]
    if not paid:
        return
    quotes = [each.quoted if len(checked) == 1 else f"{each.task.name or _UNNAMED}: {each.quoted}" for each in paid]
    question = f"managed job {name}: {'; then '.join(quotes)}: will be made, and made again where nodes are lost"
    if not confirm(renting.Cost(f"{question}. Go on?")):
        raise BadInput(f"{question}, which costs money", hint="-y agrees to that; nothing was made")


def _job(number: int, name: str, checked: Sequence[_Checked]) -> ManagedJob:
    """The job as it is when nothing of it has begun."""
    now, taken, tasks = time.time(), set[str](), []
    for index, each in enumerate(checked):
        task, own = each.task, each.task.name or _UNNAMED
        stack = _stack(own, number, taken)
        taken.add(stack)
        names = (name, own) if len(checked) > 1 else (name,)
        called = task_id(number, names, index, now, {**task.env, **task.secrets})
        tasks.append(TaskState(index, own, called, stack, task.num_nodes, str(each.shape)))
    return ManagedJob(number, name, tuple(tasks), now, getpass.getuser())


def _stack(name: str, number: int, taken: set[str]) -> str:
    """A name for a task's cluster that none has, or had."""
    found = f"{_clean(name)}-{number}"
    while found in taken or stacks.is_there(found) or places.records(found).exists():
        found = f"{_clean(name)}-{number}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
    return stack_name(found)


def _clean(name: str) -> str:
    """A task's name as the beginning of a stack's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:40].lstrip("._-") or "sky"


def _look(job_id: int) -> Seen | None:
    ward = table.ward(str(job_id), JOB)
    return _seen(ward) if ward is not None else None


def _is_past(job_id: int) -> bool:
    ward = table.ward(str(job_id), JOB)
    return ward is None or ward.wish is Wish.PAST


def _seen(ward: Ward) -> Seen:
    job = wards.job(ward)
    if ward.wish is Wish.GONE and not job.status.ended:
        return Seen(job, ManagedStatus.CANCELLING, ward.reason)
    return Seen(job, job.status, ward.reason)


def _no_such_job(job_id: int) -> BadInput:
    return BadInput(f"there is no managed job {job_id}", hint="`jobs.queue` lists them")


def _none_called(name: str | None) -> BadInput:
    what = "there is no managed job yet" if name is None else f"no managed job is called {name}, or it has ended"
    return BadInput(what, hint="`jobs.queue` lists them")


class _Lines:
    """What is written into a log for people, line by line, without the time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = 0

    def new(self) -> list[str]:
        """Whole lines that have come since the last call."""
        if not self._file.exists() or self._file.stat().st_size <= self._at:
            return []
        with self._file.open("rb") as log:
            log.seek(self._at)
            text = log.read()
        whole = text.rfind(b"\n") + 1
        self._at += whole
        return [_STAMP.sub("", line, count=1) for line in text[:whole].decode(errors="replace").splitlines()]


def _interruptible(work: Coroutine[Any, Any, Seen]) -> Seen | None:
    """Do it; None where Ctrl-C ended it. A thread beside the main one gets no signals."""
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)
    return asyncio.run(_until_interrupted(work))


async def _until_interrupted(work: Coroutine[Any, Any, Seen]) -> Seen | None:
    task, loop = asyncio.create_task(work), asyncio.get_running_loop()
    cancelled = False

    def interrupt() -> None:
        nonlocal cancelled
        cancelled = task.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if not cancelled:
            raise
        return None
    finally:
        loop.remove_signal_handler(signal.SIGINT)
