"""One job as its follower sees it: its log, line by line, and its states."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput
from skyrig.fleet.ssh import asyncssh
from skyrig.launch import keeping, records
from skyrig.launch.job import CONVERTER, JobRecord, JobStatus
from skyrig.launch.lines import Shown, marks_failure, parse, tail_offset
from skyrig.launch.link import Notify
from skyrig.launch.prelude import Prelude
from skyrig.launch.protocol import Message, Reader, Writer, receive, send

_LAST_LINES = 10
"""Lines of the failed rank that are shown again at the end."""


class Line(Protocol):
    """An open line to who tells of a job, in the words of skyrig.launch.protocol."""

    @property
    def reader(self) -> Reader:
        """What is told."""

    @property
    def writer(self) -> Writer:
        """What is asked."""


class View:
    """What a follower has seen of one job, and how far; survives a broken connection.

    `record` is None for a job that is known by `job_id` alone (None: the newest). With `rank` only that one's lines are
    shown, with `tail` only the last so many; unless `keep_on` it ends at what is there now. `quiet` leaves the job's
    states to who follows it. `detached` is for who stops following it.
    """

    def __init__(
        self,
        desc: ClusterDescription | None,
        record: JobRecord | None,
        out: BinaryIO,
        notify: Notify,
        *,
        job_id: int | None = None,
        rank: int | None = None,
        tail: int | None = None,
        keep_on: bool = True,
        quiet: bool = False,
    ) -> None:
        self.record = record
        self.detached = False
        self._kept_by_us = desc if desc is not None and keeping.is_ours(desc) else None
        self._job_id = record.id if record else job_id
        self._out = out
        self._notify = notify
        self._prelude = Prelude(notify)
        self._rank = rank
        self._tail = tail
        self._keep_on = keep_on
        self._quiet = quiet
        self._offset = 0
        self._shown: Shown | None = None
        self._last: dict[int, deque[bytes]] = {}
        self._settled: set[int] = set()

    async def follow(self, link: Line) -> bool:
        """Write what comes until the job's end (False) or until the connection broke (True)."""
        asked = {
            "op": "follow",
            "id": self._job_id,
            "follow": self._keep_on,
            "offset": self._offset,
            "rank": self._rank,
        }
        if self._offset == 0 and self._tail is not None:
            asked["tail"] = self._tail
        try:
            await send(link.writer, asked)
            while (received := await receive(link.reader)) is not None:
                message, payload = received
                if "error" in message:
                    raise BadInput(message["error"], hint=message.get("hint"))
                if message["event"] == "end":
                    return False
                self._take(message, payload)
        except (asyncssh.Error, OSError, EOFError):
            return True
        finally:
            self._prelude.close()
            self._end_line()
        return True

    def take_kept(self, base: Path) -> None:
        """Write what the records folder `base` has of the job beyond what was seen: its head answers no more. OSError
        and ValueError where nothing was kept of it."""
        record, path = records.read_one(base, self._job_id or 0), base / str(self._job_id) / "job.log"
        if self.record is None or record.status.ended:
            self._end_line()
            self.record = record
        shown = self._shown = self._shown or Shown(record, record.cluster, rank=self._rank)
        if path.exists():
            with path.open("rb") as file:
                tail = self._tail if self._offset == 0 else None
                file.seek(self._offset if tail is None else tail_offset(path, tail, rank=self._rank))
                for line in iter(file.readline, b""):
                    if line.endswith(b"\n"):
                        self._offset = file.tell()
                        self._out.write(shown.show(line))
        self._end_line()

    def ended(self) -> int:
        """Say how the job ended; its exit code (0 while it has none)."""
        record = self.record
        if record is None or not record.status.ended:
            return 0
        if record.status is JobStatus.SUCCEEDED:
            self._notify(f"job {record.id} SUCCEEDED")
        else:
            self._notify(f"job {record.id} {record.status.value}: {record.reason}")
        if record.culprit >= 0 and record.num_nodes > 1 and self._last.get(record.culprit):
            self._notify(f"the last lines of rank {record.culprit}:")
            for line in self._last[record.culprit]:
                self._notify("    " + line.decode(errors="replace"))
        return record.exit_code if record.exit_code is not None else 5

    def _take(self, message: Message, payload: bytes) -> None:
        if message["event"] == "state":
            self._advance(CONVERTER.structure(message["record"], JobRecord))
        elif message["event"] == "now":
            self._prelude.now(message.get("setup", ()), message.get("files"))
        elif message["event"] == "log" and self._shown is not None:
            self._offset = message["offset"]
            self._keep(payload)
            for line in payload.split(b"\n")[:-1]:  # whole lines come; bytes.splitlines would cut at \r too
                rank, text, _ = parse(line)
                self._remember(rank, text)
                self._prelude.line(rank, text)
                self._out.write(self._shown.show(line))
            self._out.flush()

    def _keep(self, payload: bytes = b"") -> None:
        """Keep what was seen, where it is ours to keep. A disk that is full here is no reason to stop following."""
        if self._kept_by_us is not None and self.record is not None:
            with suppress(OSError):
                keeping.add(self._kept_by_us, self.record, self._offset, payload)

    def _remember(self, rank: int, text: bytes) -> None:
        """Keep the last lines of each rank; those before a process of it failed, not what its launcher says then."""
        if marks_failure(text):
            self._settled.add(rank)
        if rank not in self._settled:
            self._last.setdefault(rank, deque(maxlen=_LAST_LINES)).append(text)

    def _end_line(self) -> None:
        if self._shown is not None:
            self._out.write(self._shown.finish())
            self._out.flush()

    def _advance(self, record: JobRecord) -> None:
        before = self.record.status if self.record else None
        self._end_line()
        self.record, self._job_id = record, record.id
        self._keep()
        self._shown = Shown(record, record.cluster, rank=self._rank)
        self._prelude.advance(record)
        if self._quiet:
            return
        if record.status is JobStatus.PENDING and not record.nodes:
            self._notify(f"job {record.id} waits for its turn")
        elif record.status in (JobStatus.SETTING_UP, JobStatus.RUNNING) and record.status is not before:
            what = "setup runs on" if record.status is JobStatus.SETTING_UP else "running on"
            where = record.cluster if record.status is JobStatus.SETTING_UP else record.nodes
            self._notify(f"job {record.id}: {what} {', '.join(where)}")
