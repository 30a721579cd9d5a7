"""Jobs of a cluster: queue, logs, cancel. The first two still answer after the cluster is gone."""

from __future__ import annotations

import json
from pathlib import Path

from skyrig.cli import flags, pictures
from skyrig.cli.verb import Values, flag, notify, repeated, verb, whole
from skyrig.errors import BadInput

JOB = flag("job j", "number of the job")


@verb("queue", [flags.CLUSTER, flag("skip-finished s", "only jobs that have not ended", kind=bool), *flags.JSON])
def queue(values: Values) -> None:
    """Show the jobs of a cluster."""
    from skyrig import verbs
    from skyrig.cli import tables

    as_json = flags.wants_json(values)
    jobs = verbs.queue(flags.cluster(values), notify)
    if values.switch("skip-finished"):
        jobs = [job for job in jobs if not job.status.ended]
    if as_json:
        print(json.dumps({"jobs": [tables.job_json(job) for job in jobs]}, indent=2))
    else:
        tables.jobs(jobs)


@verb(
    "logs",
    [
        flags.CLUSTER,
        JOB,
        flag("rank", "only this rank"),
        flag("follow f", "go on while the job runs (it does anyway)", kind=bool),
        flag("no-follow", "end at what is there now", kind=bool),
        flag("tail", "only the last so many lines"),
        flag("status", "only end with the job's exit code", kind=bool),
        flag("sync-down", "write each rank's output into files under this folder"),
        *pictures.FLAGS,
    ],
)
def logs(values: Values) -> int:
    """Show a job's output, of the newest job without -j, and end with its exit code; with --plot a picture of it."""
    from skyrig import verbs

    if pictures.wanted(values):
        from skyrig import picturing

        pictures.require(values)
        stack, file = flags.cluster(values), pictures.metrics_file(values)
        pictures.show(values, picturing.of_job(stack, values.whole("job"), notify, file))
        return 0
    job, rank, tail = values.whole("job"), values.whole("rank"), values.whole("tail")
    stack, folder = flags.cluster(values), values.text("sync-down")
    if folder is not None:
        for file in verbs.saved_logs(stack, job, Path(folder), notify):
            print(file)
        return 0
    if values.switch("status"):
        return _ended(stack, job)
    follow = not values.switch("no-follow")
    return verbs.logs(stack, job, notify.output(), notify, rank=rank, follow=follow, tail=tail)


def _ended(stack: str, job_id: int | None) -> int:
    """Exit code of a job, the newest without `job_id`; its state in one line."""
    from skyrig import verbs

    jobs = [job for job in verbs.queue(stack, notify) if job_id in (None, job.id)]
    if not jobs:
        raise BadInput(f"cluster {stack} has no job {'at all' if job_id is None else job_id}")
    print(f"job {jobs[-1].id}: {jobs[-1].status.value}")
    return jobs[-1].exit_code or 0


@verb(
    "cancel",
    [flags.CLUSTER, *repeated([JOB], "job"), flag("all a", "all jobs that have not ended", kind=bool), flags.YES],
)
def cancel(values: Values) -> None:
    """Cancel jobs: the whole process group on every node."""
    from skyrig import verbs

    jobs = [whole("-j", job) for job in values.many("job")]
    if bool(jobs) == values.switch("all"):
        raise BadInput("cancel: which jobs?", hint="-j JOB or --all")
    done = verbs.cancel(flags.cluster(values), None if values.switch("all") else jobs, notify)
    print(f"cancelled: {', '.join(map(str, done))}" if done else "nothing to cancel")
