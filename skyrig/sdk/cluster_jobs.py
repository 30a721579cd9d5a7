"""Jobs of a cluster: queue, status, output, cancel. All but cancel still answer after the cluster is gone."""

from __future__ import annotations

import asyncio
import codecs
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar, cast

from skyrig.cluster.shape import stack_name
from skyrig.errors import BadInput
from skyrig.launch.job import JobStatus
from skyrig.sdk.answers import JobRecord
from skyrig.sdk.request.calls import RequestId, begin

Done = TypeVar("Done")


def queue(cluster_name: str, skip_finished: bool = False, all_users: bool = False) -> RequestId[list[JobRecord]]:
    """Jobs of a cluster, the newest first."""
    name = stack_name(cluster_name)
    return begin("queue", name, cluster_name=name, skip_finished=skip_finished)


def job_status(cluster_name: str, job_ids: Sequence[int] | None = None) -> RequestId[dict[int, JobStatus | None]]:
    """Status of jobs by their ids, without ids of the newest one; None for a job that is not known."""
    name = stack_name(cluster_name)
    return begin("job_status", name, cluster_name=name, job_ids=None if job_ids is None else list(job_ids))


def cancel(
    cluster_name: str, all: bool = False, all_users: bool = False, job_ids: Sequence[int] | None = None
) -> RequestId[None]:
    """Cancel jobs: those of the ids, with `all` every one, with neither the newest that has not ended."""
    name, everything = stack_name(cluster_name), all or all_users
    if everything and job_ids:
        raise BadInput("cancel: `all` and `job_ids` say different things", hint="give one of them")
    return begin("cancel", name, cluster_name=name, all=everything, job_ids=list(job_ids or ()))


def tail_logs(
    cluster_name: str,
    job_id: int | None = None,
    follow: bool = True,
    tail: int = 0,
    output_stream: IO[str] | None = None,
) -> int:
    """Print a job's output (of the newest job without `job_id`), and with `follow` go on until it ends; only the last
    `tail` lines where that is not 0. Goes to `output_stream`, else to standard output; remarks go to standard
    error. Returns the job's exit code, 0 while it has none. Ctrl-C ends the watching alone, with 0."""
    from skyrig import verbs

    name = stack_name(cluster_name)
    out = _bytes_of(output_stream or sys.stdout)

    def notify(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return _beside(lambda: verbs.logs(name, job_id, out, notify, follow=follow, tail=tail or None))


def download_logs(
    cluster_name: str, job_ids: Sequence[int | str] | None = None, local_dir: str | Path = "~/sky_logs"
) -> dict[str, str]:
    """Write the output of jobs (without ids of the newest one) into folders, one file a rank; the folders by the jobs'
    ids, which are texts here."""
    from skyrig import verbs

    name, ids = stack_name(cluster_name), [None] if job_ids is None else [int(each) for each in job_ids]
    base = Path(local_dir).expanduser() / name

    def notify(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    folders = [_beside(lambda: verbs.saved_logs(name, each, base, notify))[0].parent for each in ids]  # noqa: B023
    return {folder.name.removeprefix("job-"): str(folder) for folder in folders}


def job_series(cluster_name: str, job_id: int | None = None, metrics: str | Path | None = None) -> dict[str, Any]:
    """What `logs --plot` draws of a job (of the newest one without `job_id`), as plain data: the curves of its output,
    or of the file `metrics`, and what each node was used for (docs/pictures.md says what is what). Also of a cluster
    that is gone. BadInput where there is nothing to draw."""
    from skyrig import picturing

    name, file = stack_name(cluster_name), None if metrics is None else Path(metrics)

    def remark(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return _beside(lambda: picturing.series(picturing.of_job(name, job_id, remark, file)))


def _beside(work: Callable[[], Done]) -> Done:
    """Do `work`, which runs an event loop of its own: in a thread where this one has a loop at work (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(work).result()


class _Text:
    """Bytes for a stream of texts."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, data: bytes) -> int:
        self._stream.write(self._decoder.decode(data))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


def _bytes_of(stream: IO[str]) -> BinaryIO:
    """Where bytes for a stream of texts go: to its own bytes, where it has such (what it holds back goes first)."""
    stream.flush()
    return cast(BinaryIO, getattr(stream, "buffer", None) or _Text(stream))
