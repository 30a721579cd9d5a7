"""What grows and what must not: memory, tables, folders and logs over many jobs, fast printers and stuck followers."""

from __future__ import annotations

import fcntl
import os
import re
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from keeper_cluster import Following, KeeperCluster, until

from bench import record
from skyrig.launch import job as job_module


def stuck_follower(cluster: KeeperCluster, job: int) -> Any:
    """A client that asks to follow and then reads nothing."""
    line = cluster.connect()
    line.sendall(b'{"op": "follow", "id": %d, "follow": true, "offset": 0}\n' % job)
    return line


def run_many(cluster: KeeperCluster, count: int) -> None:
    """That many jobs that do nothing, ten at a time."""
    for _ in range(count // 10):
        following = [Following(cluster, cluster.submit("true")) for _ in range(10)]
        for each in following:
            each.join(60)
            assert each.record["status"] == "SUCCEEDED"


def open_files(cluster: KeeperCluster) -> int:
    """Descriptors of the keeper."""
    return len(os.listdir(f"/proc/{cluster.pid()}/fd"))  # noqa: PTH208


def kept_folders(cluster: KeeperCluster) -> int:
    """Folders of ranks on the nodes."""
    return sum(len(list(node.home.glob(".skyrig/jobs/*/rank-*"))) for node in cluster.nodes)


def test_many_jobs_leave_little_behind(own_cluster: KeeperCluster) -> None:
    cluster = own_cluster
    first = cluster.submit("echo the first")
    cluster.ended(first)
    run_many(cluster, 30)
    memory, files = cluster.memory_kb(), open_files(cluster)
    run_many(cluster, 80)
    assert cluster.memory_kb() - memory < 4000
    until(lambda: open_files(cluster) <= files + 4, "no file stays open for a job that has ended")
    until(lambda: kept_folders(cluster) <= 100, "the oldest folders to be removed")
    until(lambda: not (cluster.keeper_home / "jobs" / cluster.jobs()[first]["uid"]).exists(), "the first job's too")
    following = Following(cluster, first)
    following.join(20)
    assert following.outputs() == {0: b"the first\n"}, "its log is told from the records folder"
    assert list((cluster.keeper_home / "requests").iterdir()) == []


@pytest.mark.soak
def test_two_thousand_jobs_leave_memory_flat(own_cluster: KeeperCluster) -> None:
    cluster = own_cluster
    run_many(cluster, 200)
    samples = [cluster.memory_kb()]
    began = time.monotonic()
    for _ in range(9):
        run_many(cluster, 200)
        samples.append(cluster.memory_kb())
    took = time.monotonic() - began
    began = time.monotonic()
    assert len(cluster.jobs()) == 2000
    listing, with_listing = time.monotonic() - began, cluster.memory_kb()
    record.write(
        "keeper-jobs",
        {"seconds_for_1800": round(took, 1), "rss_kib_every_200": samples, "queue_of_all_s": round(listing, 3)}
        | {"rss_kib_after_queue_of_all": with_listing},
        counts={"jobs": 2000},
    )
    assert samples[-1] - samples[0] < 4000, samples
    assert listing < 1
    assert with_listing - samples[-1] < 12_000


MARK = re.compile(rb"\[skyrig\] (\d+) bytes of output are missing here \(the disk was too slow\)\n")
PRINT = "s=$(date +%s.%N); yes {line} | head -c {size}; echo; echo took $s $(date +%s.%N)"


def pace(log: bytes, size: int) -> float:
    """MB/s at which the job could print, by its own clock."""
    begin, end = log.rsplit(b"took", 1)[1].split()[:2]
    return size / (float(end) - float(begin)) / 1e6


def peak_until(cluster: KeeperCluster, ended: Callable[[], bool]) -> int:
    """The keeper's largest memory until then, in kB."""
    peak = 0
    began = time.monotonic()
    while not ended():
        peak = max(peak, cluster.memory_kb())
        assert time.monotonic() - began < 300
        time.sleep(0.05)
    return peak


def test_a_fast_printer_and_a_follower_that_stopped_reading_hold_nobody(own_cluster: KeeperCluster) -> None:
    cluster = own_cluster
    run_many(cluster, 10)
    memory, size = cluster.memory_kb(), 40_000_000
    job = cluster.submit("while [ ! -e ~/go ]; do sleep 0.05; done; " + PRINT.format(line="x" * 99, size=size))
    stuck = [stuck_follower(cluster, job) for _ in range(3)]
    reading = Following(cluster, job)
    for node in cluster.nodes:
        (node.home / "go").touch()
    peak = peak_until(cluster, lambda: reading.ended)
    assert cluster.jobs()[job]["status"] == "SUCCEEDED"
    output = reading.outputs()[0]
    marks = MARK.findall(output)  # a disk that stands still for long enough costs lines: they are counted
    kept = len(MARK.sub(b"", output).rpartition(b"\ntook")[0])
    assert abs(kept + sum(int(count) for count in marks) - size) <= len(marks), marks
    assert marks or output.count(b"x" * 99 + b"\n") == size // 100
    print(f"{pace(output, size):.0f} MB/s, keeper's memory {memory} -> {peak} kB")
    assert peak - memory < 40_000
    for line in stuck:
        line.close()


@pytest.mark.soak
def test_a_hundred_megabytes_a_second(own_cluster: KeeperCluster) -> None:
    """Well beyond what is kept of one rank: the job's own pace with nobody looking, and with followers."""
    cluster, size = own_cluster, 1_500_000_000
    run_many(cluster, 10)
    memory = cluster.memory_kb()
    job = cluster.submit(PRINT.format(line="x" * 99, size=size))
    peak_alone = peak_until(cluster, lambda: cluster.jobs()[job]["status"] == "SUCCEEDED")
    alone = pace(cluster.log(job).read_bytes(), size)
    job = cluster.submit(PRINT.format(line="x" * 99, size=size))
    following, stuck = Following(cluster, job), stuck_follower(cluster, job)
    peak = peak_until(cluster, lambda: following.ended)
    followed = pace(following.kept, size)
    stuck.close()
    kept = cluster.log(job).stat().st_size
    record.write(
        "keeper-printer",
        {
            "mb_per_s_alone": round(alone),
            "mb_per_s_followed": round(followed),
            "keeper_rss_kib": {"before": memory, "peak_alone": peak_alone, "peak_followed": peak},
            "kept_bytes": kept,
        },
        counts={"printed_bytes": size},
    )
    assert b"bytes of output are missing here" in following.kept
    assert kept < 300 << 20
    assert followed > 0.5 * alone
    assert max(peak, peak_alone) - memory < 60_000


def test_old_folders_are_pruned_by_count_and_by_size_and_none_that_lives(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    jobs = tmp_path / ".skyrig" / "jobs"
    for n in range(8):
        rank = jobs / f"{n}-abc" / "rank-0"
        rank.mkdir(parents=True)
        (rank / "log").write_bytes(bytes(100_000))
        (rank / "daemon.lock").touch()
        (rank.parent / "job.log").touch()
        os.utime(rank.parent, (n, n))
    program = Path(job_module.__file__).with_name("prune.py")

    def prune(**given: Any) -> set[str]:
        runpy.run_path(str(program), {"given": given})
        return {path.parent.name for path in jobs.glob("*/rank-0")}

    with (jobs / "1-abc" / "rank-0" / "daemon.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert prune(keep=4, bytes=1 << 30, spare=["2-abc"]) == {"1-abc", "2-abc", "4-abc", "5-abc", "6-abc", "7-abc"}
        assert prune(keep=4, bytes=250_000, spare=[]) == {"1-abc", "6-abc", "7-abc"}
        monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=300_000, f_frsize=1))
        assert prune(keep=4, bytes=250_000, spare=[]) == {"1-abc", "7-abc"}, "a quarter of what there is room for"
    assert len(list(jobs.glob("*/job.log"))) == 8, "logs stay"
