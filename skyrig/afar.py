"""The verbs of managed jobs where their controller has a node of its own: the same functions as skyrig.managing, done
there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

from attrs import evolve

from skyrig.bringing import Confirm, Notify
from skyrig.control.client import ControllerState
from skyrig.errors import BadInput
from skyrig.jobs.following import Wanted
from skyrig.jobs.seen import Seen
from skyrig.jobs.state import CONVERTER, ManagedJob
from skyrig.managing import Options, Queue
from skyrig.seat import bundle, line, place
from skyrig.seat.line import Terminal
from skyrig.stack.status import ClusterStatus
from skyrig.task.model import TaskFile


def launch(file: TaskFile, options: Options, notify: Notify, confirm: Confirm) -> ManagedJob:
    """As managing.launch; the controller's node is made first where there is none."""
    file.require_files()
    with bundle.packed(file.tasks, notify) as (archive, values):
        cluster = place.made(notify, confirm)
        words = {
            "name": file.name,
            "execution": file.execution,
            "group": dict(file.group),
            "options": CONVERTER.unstructure(options),
            "values": values,
        }
        found = line.ask(cluster, "launch", words, Terminal(notify, confirm), archive)
    return CONVERTER.structure(found, ManagedJob)


def queue(
    job_ids: Sequence[int] | None = None,
    *,
    skip_finished: bool = False,
    refresh: bool = False,
    notify: Notify = lambda line: None,
) -> Queue:
    """As managing.queue. Where there is no node yet there are no jobs."""
    if place.known() is None and not job_ids:
        return Queue((), ControllerState(False))
    words = {"job_ids": list(job_ids) if job_ids else None, "skip_finished": skip_finished, "refresh": refresh}
    return CONVERTER.structure(_ask("queue", words, Terminal(notify)), Queue)


def find(job_id: int | None = None, name: str | None = None) -> Seen:
    """As managing.find."""
    return CONVERTER.structure(_ask("find", {"job_id": job_id, "name": name}), Seen)


def follow(job_id: int, wanted: Wanted, out: BinaryIO, notify: Notify, *, fresh: bool = False) -> int:
    """As managing.follow: Ctrl-C ends the following alone."""
    words = {"job_id": job_id, "wanted": CONVERTER.unstructure(wanted), "fresh": fresh}
    try:
        return int(_ask("follow", words, Terminal(notify, out=out)))
    except KeyboardInterrupt:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)
        notify(f"detached; managed job {job_id} goes on: `jobs.logs -j {job_id}` shows it")
        return 0


def controller_log(job_id: int, out: BinaryIO, *, follow: bool, tail: int | None) -> None:
    """As managing.controller_log."""
    _ask("controller_log", {"job_id": job_id, "follow": follow, "tail": tail}, Terminal(out=out))


def saved_logs(job_id: int, base: Path, notify: Notify) -> list[Path]:
    """As managing.saved_logs: the files are written here."""
    files = []
    for task in find(job_id).job.tasks:
        for attempt in range(len(task.jobs)):
            target = base / f"managed-job-{job_id}" / f"task-{task.index}" / f"attempt-{attempt + 1}"
            target.mkdir(parents=True, exist_ok=True)
            for rank in range(task.num_nodes):
                files.append(target / f"rank-{rank}.log")
                with files[-1].open("wb") as out:
                    wanted = Wanted(task=task.index, attempt=attempt, rank=rank, follow=False)
                    follow(job_id, wanted, out, notify)
    return files


def chosen(job_ids: Sequence[int], names: Sequence[str], *, everything: bool) -> list[Seen]:
    """As managing.chosen."""
    there = queue().jobs
    living = [each for each in there if not each.status.ended]
    if everything:
        return living
    numbers, open_ = [each.job.id for each in there], [each.job.id for each in living]
    for job_id in job_ids:
        if job_id not in open_:
            how = "has ended already" if job_id in numbers else "is not there"
            raise BadInput(f"managed job {job_id} {how}", hint="`jobs.queue` lists them")
    for name in names:
        if not any(fnmatchcase(each.job.name, name) for each in living):
            raise BadInput(f"no managed job is called {name}, or it has ended", hint="`jobs.queue` lists them")
    return [each for each in living
            if each.job.id in job_ids or any(fnmatchcase(each.job.name, name) for name in names)]  # fmt: skip


def cancel(jobs: Sequence[Seen], notify: Notify, confirm: Confirm) -> list[int]:
    """As managing.cancel; it is asked here."""
    if not jobs:
        return []
    which = ", ".join(f"{each.job.id} ({each.job.name})" for each in jobs)
    if not confirm(f"cancel managed job{'s' if len(jobs) > 1 else ''} {which}?"):
        raise BadInput(f"managed job {which}: nothing was changed")
    return [int(each) for each in _ask("cancel", {"jobs": CONVERTER.unstructure(list(jobs))}, Terminal(notify))]


def clusters(notify: Notify) -> list[ClusterStatus]:
    """The clusters that there are of the controller's jobs, made by its node; none where there is no node."""
    if place.known() is None:
        return []
    found = [CONVERTER.structure(each, ClusterStatus) for each in _ask("clusters", {}, Terminal(notify))]
    there = [each for each in found if each.status != "DOWN"]
    return [evolve(each, reason=each.reason or f"made from {place.STACK}") for each in there]


def _ask(op: str, words: dict[str, Any], terminal: Terminal | None = None) -> Any:
    return line.ask(place.there(), op, words, terminal or Terminal(), None)
