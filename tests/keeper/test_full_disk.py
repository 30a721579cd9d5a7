"""A full disk on the head: no job ends of it, what is missing is marked, and nothing is counted wrongly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper_cluster import Following, KeeperCluster, outputs, until

from skyrig.errors import SkyrigError
from skyrig.launch.job import JobRecord, JobStatus
from skyrig.launch.keeper.logbook import Logbook, taken
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.table import JobTable

SIZE = 4 << 20


@contextlib.contextmanager
def small_disk(path: Path, size: int = SIZE) -> Iterator[Path]:
    """A tmpfs of that size at `path`; only root may mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    path.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here: " + mounted.stderr.decode().strip())
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free; returns the file to remove."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def record(job_id: int, status: JobStatus = JobStatus.RUNNING) -> JobRecord:
    return JobRecord(job_id, f"{job_id}-abc", "x" * 200, status, 1, 0.0)


def test_the_log_marks_what_a_full_disk_did_not_take(tmp_path: Path) -> None:
    line = b"a line of some length, number %06d\n"

    async def write(disk: Path) -> None:
        book = Logbook(disk / "job.log")
        book.add(0, b"first\n")
        filler = fill(disk)
        for n in range(3000):
            book.add(n % 2, line % n)
        written = taken(book.path)
        assert 0 < written[0] < book.offsets[0]
        assert book.path.read_bytes().endswith(b"\n"), "no half line stays"
        again = Logbook(book.path)
        assert again.offsets == written, "a keeper that starts now asks for the rest again"
        filler.unlink()
        until(lambda: book.add(0, b"more\n") or b"!" in book.path.read_bytes(), "the marks")
        book.close()
        assert {rank: taken(book.path)[rank] for rank in (0, 1)} == book.offsets
        marks = re.findall(rb"^(\d)!(\d+)\|No space left on device$", book.path.read_bytes(), re.MULTILINE)
        assert [rank for rank, _ in marks] in ([b"0", b"1"], [b"1", b"0"]), "one mark a rank for the whole of it"
        said = outputs(book.path.read_bytes())
        assert said[0].endswith(b"more\n")
        assert re.search(rb"\[skyrig\] \d+ bytes of output are missing here \(No space left on device\)\n", said[1])

    with small_disk(tmp_path / "disk") as disk:
        asyncio.run(write(disk))


def test_a_log_that_ends_on_a_full_disk_says_so(tmp_path: Path) -> None:
    async def write(disk: Path) -> None:
        book = Logbook(disk / "job.log")
        fill(disk)
        for _ in range(3000):
            book.add(0, b"a line of some length\n")
        book.close()
        assert taken(book.path)[0] == 3000 * len("a line of some length\n")
        assert re.search(rb"(?:^|\n)0!\d+\|No space left on device\n$", book.path.read_bytes())

    with small_disk(tmp_path / "disk") as disk:
        asyncio.run(write(disk))


def test_the_table_goes_on_and_writes_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        table = JobTable(disk / "jobs.db")
        for job_id in range(1, 9):
            table.add(record(job_id))
        filler = fill(disk)
        for n in range(300):
            table.put(record(1 + n % 8), Plan(port=n))
        assert table.problem == "", "room for that was set aside"
        table.close()
        table = JobTable(disk / "jobs.db")  # also a keeper that starts on the full disk
        assert table.plan(4) == Plan(port=299)
        n = 0
        while not table.problem:  # until the room that was set aside is used up too
            table.set_fact(f"f{n}", "x" * 9000)
            n += 1
        with pytest.raises(SkyrigError, match="takes no new job"):
            table.add(record(9))
        assert table.get(9) is None
        table.put(record(3, JobStatus.SUCCEEDED), Plan(port=7))
        assert [one.id for one in table.unfinished()] == [1, 2, 4, 5, 6, 7, 8]
        found = table.get(3)
        assert found is not None
        assert found.status is JobStatus.SUCCEEDED
        filler.unlink()
        assert table.write()
        assert table.problem == ""
        table.close()
        again = JobTable(disk / "jobs.db")
        assert [one.id for one in again.unfinished()] == [1, 2, 4, 5, 6, 7, 8]
        assert (again.plan(3), again.fact("f3"), again.next_id(1)) == (Plan(port=7), "x" * 9000, 9)
        again.close()


def test_a_job_outlives_a_full_disk_on_the_head(tmp_path: Path) -> None:
    """Log, table and requests all lie on that disk; node and records do not."""
    (tmp_path / "n0").mkdir()
    with small_disk(tmp_path / "n0" / ".skyrig", 24 << 20) as disk:
        cluster = KeeperCluster(tmp_path, 2)
        try:
            loop = "i=0; while [ ! -e ~/enough ]; do i=$((i+1)); echo line $i; sleep 0.005; done; echo last; exit 3"
            job = cluster.submit(loop, 2)
            following = Following(cluster, job)
            until(lambda: b"line 9" in following.kept, "lines")
            filler = fill(disk)
            answer = cluster.ask(op="submit", request=cluster.request("echo no"), expected=1)
            assert "takes no new job: No space left on device" in answer["error"]
            assert "\n" not in answer["error"]
            assert list(cluster.jobs()) == [job]
            assert len(list((disk / "jobs").iterdir())) == 1
            for node in cluster.nodes:
                (node.home / "enough").touch()
            ended = cluster.ended(job)
            assert (ended["status"], ended["exit_code"]) == ("FAILED", 3)
            following.join(30)
            assert not following.is_alive()
            filler.unlink()
            assert cluster.ended(cluster.submit("echo yes"))["status"] == "SUCCEEDED"
            kept = (cluster.records / str(job) / "job.log").read_bytes()
            assert kept == following.kept
        finally:
            cluster.close()


def test_old_jobs_make_room_for_new_ones(tmp_path: Path) -> None:
    """All jobs together leave several times what the disk holds, twice: on their node, and in the head's log."""
    (tmp_path / "n0").mkdir()
    with small_disk(tmp_path / "n0" / ".skyrig", 24 << 20):
        cluster = KeeperCluster(tmp_path, 1)
        try:
            for _ in range(8):
                following = Following(cluster, cluster.submit("seq -f 'line %06.0f' 1 200000; sleep 1"))  # 2.4 MB
                following.join(30)
                assert following.record["status"] == "SUCCEEDED"
                assert following.outputs()[0] == b"".join(b"line %06d\n" % n for n in range(1, 200_001))
        finally:
            cluster.close()
