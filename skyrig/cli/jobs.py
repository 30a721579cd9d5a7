"""Managed jobs: launch, queue, logs, cancel."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from skyrig import managed
from skyrig.cli import flags, pictures
from skyrig.cli.verb import Values, agreed, flag, notify, positional, repeated, verb, whole
from skyrig.errors import BadInput

JOB = flag("job j", "number of the managed job")
NAME = flag("name n", "name of the managed job")
TASK = (
    *(each for each in flags.RUN if each.key not in ("cluster", "name", "detach")),
    *flags.RESOURCES,
    flag("job-recovery", "where it goes when nodes are lost: eager_next_region (the default), failover, none"),
    *flags.POLICY,
    flags.MINIMIZE,
    flag("retry-until-up r", "wait for capacity at its beginning without end (it does anyway)", kind=bool),
    flag("no-retry-until-up", "fail where there is no capacity at its beginning", kind=bool),
    flag("detach d", "return once the controller has it", kind=bool),
)


@verb("launch", [positional("file", "task file, a pipeline, or a command in quotes"), NAME, *TASK])
def launch(values: Values) -> int:
    """Run a task file, or a pipeline, as a managed job: on a cluster of its own, brought back when nodes are lost."""
    from skyrig.jobs.following import Wanted

    managing = managed.verbs()

    if values.switch("retry-until-up") and values.switch("no-retry-until-up"):
        raise BadInput("--retry-until-up and --no-retry-until-up say different things", hint="give one of them")
    options = managing.Options(
        name=values.text("name") or "",
        wish=flags.wish(values),
        retry=not values.switch("no-retry-until-up"),
    )
    file = flags.file_of(values, str(values.given["file"]))
    job = managing.launch(file, options, notify, agreed(values.switch("yes")))
    if values.switch("detach"):
        print(job.id)
        return 0
    return int(managing.follow(job.id, Wanted(), notify.output(), notify, fresh=True))


@verb(
    "queue",
    [
        *repeated([JOB], "job"),
        flag("skip-finished s", "only jobs that have not ended", kind=bool),
        flag("refresh r", "ask the controller to look now", kind=bool),
        *flags.JSON,
    ],
)
def queue(values: Values) -> None:
    """Show managed jobs, their recoveries and why these were needed."""
    from skyrig.cli import job_tables

    managing = managed.verbs()

    as_json = flags.wants_json(values)
    wanted = [whole("-j", each) for each in values.many("job")] or None
    found = managing.queue(
        wanted, skip_finished=values.switch("skip-finished"), refresh=values.switch("refresh"), notify=notify
    )
    if as_json:
        now, at_work = time.time(), found.controller
        jobs = [each.to_json(now) for each in found.jobs]
        print(json.dumps({"jobs": jobs, "controller": {"alive": at_work.alive, "since": at_work.since}}, indent=2))
    else:
        job_tables.managed(found)


@verb(
    "logs",
    [
        JOB,
        NAME,
        flag("task", "only this task of a pipeline, from 0"),
        flag("rank", "only this rank"),
        flag("follow f", "go on while the job goes on (it does anyway)", kind=bool),
        flag("no-follow", "end at what is there now", kind=bool),
        flag("tail", "only the last so many lines, of the newest attempt"),
        flag("controller", "what the controller did for it", kind=bool),
        flag("sync-down s", "write the output of each rank of each attempt into files under this folder"),
        *pictures.FLAGS,
    ],
)
def logs(values: Values) -> int:
    """Show a managed job's output over all its attempts, of the newest job without a number, and end with its exit
    code; with --plot a picture of it."""
    from skyrig.jobs.following import Wanted

    managing = managed.verbs()

    number, name = values.whole("job"), values.text("name")
    if number is not None and name is not None:
        raise BadInput("-j and -n say different things", hint="give one of them")
    if pictures.wanted(values):
        from skyrig import picturing

        pictures.require(values)
        file = pictures.metrics_file(values)
        pictures.show(values, picturing.of_managed(number, name, values.whole("task"), file))
        return 0
    job = managing.find(number, name).job
    follow, tail, folder = not values.switch("no-follow"), values.whole("tail"), values.text("sync-down")
    if values.switch("controller"):
        managing.controller_log(job.id, notify.output(), follow=follow, tail=tail)
        return 0
    if folder is not None:
        for file in managing.saved_logs(job.id, Path(folder).expanduser(), notify):
            print(file)
        return 0
    task = values.whole("task")
    if task is not None and task >= len(job.tasks):
        raise BadInput(f"managed job {job.id} has no task {task}", hint=f"it has {len(job.tasks)}, counted from 0")
    wanted = Wanted(task=task, rank=values.whole("rank"), tail=tail, follow=follow)
    return int(managing.follow(job.id, wanted, notify.output(), notify))


@verb(
    "cancel",
    [
        *repeated([JOB, NAME], "job"),
        flag("all a", "all jobs that have not ended", kind=bool),
        flags.YES,
    ],
)
def cancel(values: Values) -> None:
    """Cancel managed jobs, with their clusters. Asks on a terminal; -y answers yes."""
    managing = managed.verbs()
    numbers, name = [whole("-j", each) for each in values.many("job")], values.text("name")
    if bool(numbers or name) == values.switch("all"):
        raise BadInput("jobs.cancel: which jobs?", hint="-j JOB, -n NAME or --all")
    jobs = managing.chosen(numbers, [name] if name else [], everything=values.switch("all"))
    done = managing.cancel(jobs, notify, agreed(values.switch("yes") or not sys.stdin.isatty()))
    print(f"cancelled: {', '.join(map(str, done))}" if done else "nothing to cancel")
