"""The log's bounds, and disks that are full or slow: the job never waits for any of it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervised import Rank, about, until

LIMIT = 64 * 1024
TAIL = LIMIT // 4
ROOM = LIMIT - TAIL - 512
NOTICE = b"[skyrig] the log is at its limit; the end of what follows is shown when the job ends\n"
MARK = re.compile(rb"\[skyrig\] (\d+) bytes of output are missing here \((.*)\)\n")


def stream(size: int) -> bytes:
    """Lines of a known text, no two alike."""
    return b"".join(b"%09d\n" % n for n in range(size // 10 + 1))[:size]


def printing(size: int) -> str:
    """Shell text that prints stream(size)."""
    return f"seq -f %09.f 0 {size // 10 + 1} | head -c {size}\n"


@pytest.mark.parametrize("size", [0, 1, ROOM - 1, ROOM, ROOM + 1, ROOM + TAIL - 100, ROOM + TAIL + 600, LIMIT * 10])
def test_the_log_keeps_both_ends(rank: Rank, size: int) -> None:
    follower = rank.start(printing(size), log_limit=LIMIT)
    last = follower.end()
    log = (rank.dir / "log").read_bytes()
    assert log == follower.log
    assert len(log) <= LIMIT
    assert log.count(NOTICE) == (size > ROOM)
    found = MARK.search(log)
    assert last["log_cut"] == bool(found) == (last["dropped"] > 0)
    if found:
        head, tail = log[: found.start()].replace(NOTICE, b""), log[found.end() :]
        assert int(found[1]) == last["dropped"] == size - len(head) - len(tail)
        assert stream(size).startswith(head.rstrip(b"\n"))
        assert stream(size).endswith(tail)
        assert len(head) >= ROOM - 10
        assert len(tail) >= TAIL - 5000
    else:
        assert log.replace(b"\n", b"").replace(NOTICE[:-1], b"") == stream(size).replace(b"\n", b"")
    assert found or size < ROOM + TAIL + 600


def test_a_traceback_at_the_end_is_shown(rank: Rank) -> None:
    follower = rank.start(printing(10 * LIMIT) + "\necho Traceback: boom >&2; exit 1", log_limit=LIMIT)
    assert follower.end()["code"] == 1
    assert follower.log.endswith(b"Traceback: boom\n")


def test_a_fast_printer_meets_flat_memory_and_no_brake(rank: Rank) -> None:
    size = 300_000_000
    follower = rank.start(f"echo go; yes {'x' * 99} | head -c {size}; echo end", log_limit=LIMIT)
    daemon = follower.up()
    begin = time.monotonic()
    peak = 0
    while follower.frame("exit") is None:
        status = re.search(rb"VmHWM:\s+(\d+) kB", about(daemon, "status"))
        peak = max(peak, int(status[1]) if status else 0)
        assert time.monotonic() - begin < 30
        time.sleep(0.02)
    print(f"{size / (time.monotonic() - begin) / 1e6:.0f} MB/s, daemon's peak {peak} kB")
    assert 0 < peak < 60_000
    assert (rank.dir / "log").stat().st_size <= LIMIT
    assert follower.end()["dropped"] > size - LIMIT
    assert follower.log.endswith(b"x\nend\n")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Rank]:
    """A rank whose folder lies on a tmpfs of 512 KiB in a mount namespace of its own."""
    (tmp_path / "jobs").mkdir()
    private = ["-m"] if os.geteuid() == 0 else ["-rm"]
    script = 'mount -t tmpfs -o size=512k none "$0" && echo ready && exec sleep 1000'
    holder = subprocess.Popen(
        ["unshare", *private, "sh", "-c", script, str(tmp_path / "jobs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert holder.stdout
    try:
        if holder.stdout.readline() != b"ready\n":
            pytest.skip("no mount namespace can be had here: " + holder.communicate()[1].decode().strip())
        enter = ["-m"] if os.geteuid() == 0 else ["-U", "--preserve-credentials", "-m"]
        one = Rank(tmp_path, "nsenter", "-t", str(holder.pid), *enter)
        yield one
        one.call("end", "0")
        for follower in one.followers:
            follower.close()
        assert not one.processes()
    finally:
        holder.kill()
        holder.communicate()


FILL = "head -c 600000 /dev/zero >$SKYRIG_RANK_DIR/filler 2>/dev/null\n"


def test_a_full_disk_costs_output_and_nothing_else(small_disk: Rank) -> None:
    size = 3_000_000  # more than the pipe holds, so the daemon has seen it before the disk has room again
    follower = small_disk.start(
        FILL + printing(size) + "echo; sleep 1; rm $SKYRIG_RANK_DIR/filler; sleep 1.2; echo after; exit 3",
        log_limit=10 << 20,
    )
    last = follower.end()
    assert (last["code"], last["log_cut"]) == (3, True)
    assert follower.log.endswith(b"after\n")
    marks = MARK.findall(follower.log)
    assert marks[0][1] == b"No space left on device"
    assert sum(int(count) for count, _ in marks) == last["dropped"] > 0
    begun_lines = len(marks)  # a mark begins a new line, which may cost one byte each
    kept = MARK.sub(b"", follower.log)
    assert 0 <= len(kept) + last["dropped"] - size - len("\nafter\n") <= begun_lines


def test_a_disk_that_stays_full_still_takes_the_result(small_disk: Rank) -> None:
    size = 300_000
    script = small_disk.record(0, 7) + "echo a; sleep 0.2\n" + FILL + printing(size) + "exit 3"
    last = small_disk.start(script, log_limit=10 << 20).end()
    assert (last["code"], last["log_cut"]) == (7, True)
    again = small_disk.attach()
    assert {**again.end(), "age_s": 0, "first": 0} == {**last, "age_s": 0, "first": 0}
    assert again.log.startswith(b"a\n")
    assert len(again.log) + last["dropped"] == size + 2


def test_a_disk_that_hangs_stops_neither_job_nor_end(rank: Rank) -> None:
    """A FIFO that nobody reads stands in for the log on such a disk: writing to it waits for ever."""
    rank.dir.mkdir(parents=True)
    os.mkfifo(rank.dir / "log")
    reader = os.open(rank.dir / "log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        rank.start("trap 'touch ended' TERM; " + printing(30_000_000) + "touch printed; sleep 1000", lease_s=3)
        until(lambda: (rank.cwd / "printed").exists(), "the job to have printed", 90)
        until(lambda: (rank.cwd / "ended").exists(), "the lease to run out", 90)
        until(lambda: not rank.processes(), "the tree to end")
    finally:
        os.close(reader)
