"""Ranks on a node that has buckets attached: the real supervisor, a real S3 server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting_store import Home, Store, until

from skyrig.launch import nodeside

sys.path.insert(0, str(Path(__file__).parents[1] / "supervisor"))
from supervised import Rank


@pytest.fixture
def rank(tmp_path: Path, home: Home) -> Iterator[Rank]:
    """A rank on the node with that home; nothing of it is left after the test."""
    for name, text in nodeside.files().items():
        path = home.folder / ".skyrig" / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text)
    one = Rank(tmp_path / "rank", env=home.env)
    yield one
    one.close()


WATCHED = {"watch": nodeside.watch_file()}


def test_a_job_ends_when_its_files_are_up(store: Store, home: Home, rank: Rank) -> None:
    bucket = store.bucket("many")
    place = home.attached(store, store.mount("~/ckpt", "many", "MOUNT_CACHED"))
    script = f"cd {place}; for i in $(seq 200); do echo $i >f$i; done; head -c 268435456 /dev/zero >big; printf end"
    follower = rank.start(script, **WATCHED)
    end = follower.end()
    assert (end["code"], end["why"], end["reason"]) == (0, "exit", "")
    assert len(list(bucket.glob("f*"))) == 200 and (bucket / "big").stat().st_size == 256 << 20
    assert b"end\n[skyrig] waiting for " in follower.log and b"to reach s3://many\n" in follower.log


def test_nothing_to_bring_takes_no_time(store: Store, home: Home, rank: Rank) -> None:
    store.bucket("idle")
    place = home.attached(store, store.mount("~/ckpt", "idle", "MOUNT_CACHED"))
    (place / "f").write_text("f")
    assert home.ask("flush", deadline_s=20)["left"] == []
    began = time.monotonic()
    rank.start("echo done", **WATCHED).end()
    with_mount = time.monotonic() - began
    other = Rank(rank.dir.parents[2] / "other", env=rank.popen["env"])
    began = time.monotonic()
    other.start("echo done").end()
    without = time.monotonic() - began
    other.close()
    assert with_mount < without + 0.3


def test_a_killed_mount_ends_the_job(store: Store, home: Home, rank: Rank) -> None:
    store.bucket("killed")
    plan = store.mount("~/ckpt", "killed", "MOUNT_CACHED")
    home.attached(store, plan)
    follower = rank.start("echo up; sleep 60", **WATCHED)
    follower.saw(b"up")
    pid = home.look()["~/ckpt"]["pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    end = follower.end()
    assert time.monotonic() - began < 2.5
    reason = "mount ~/ckpt (s3://killed) is gone: its rclone was killed by signal 9"
    assert (end["code"], end["why"], end["reason"]) == (5, "mount", reason)
    assert f"[skyrig] {reason}\n".encode() in follower.log


@pytest.mark.parametrize("how", ["its rclone was killed by signal 9", "it was unmounted", "it was detached"])
def test_a_mount_that_went_before_the_rank_began_fails_it(store: Store, home: Home, rank: Rank, how: str) -> None:
    store.bucket("before")
    plan = store.mount("~/ckpt", "before")
    place = home.attached(store, plan)
    if "killed" in how:
        home.kill(plan)
    elif "unmounted" in how:
        subprocess.run(["umount", "-l", str(place)], check=True)
    else:
        home.ask("detach", targets=None, force=True)
        place.mkdir()
    end = rank.start(f"echo lost >{place}/f; exit 0", mounts=["~/ckpt"], **WATCHED).end()
    assert (end["code"], end["why"]) == (5, "mount"), end
    assert end["reason"].startswith("mount ~/ckpt ") and end["reason"].endswith(f" is gone: {how}")
    other = Rank(rank.dir.parents[2] / "other", env=rank.popen["env"])
    assert other.start("echo of another job", **WATCHED).end()["code"] == 0, "it never asked for that place"
    other.close()


def test_a_job_that_fails_of_a_killed_mount_says_so(store: Store, home: Home, rank: Rank) -> None:
    store.bucket("blamed")
    plan = store.mount("~/ckpt", "blamed")
    place = home.attached(store, plan)
    follower = rank.start(f"echo up; while echo x >{place}/f; do :; done; exit 7", **WATCHED)
    follower.saw(b"up")
    home.kill(plan)
    end = follower.end()
    assert end["why"] == "mount" and "killed by signal 9" in end["reason"]


def test_an_outage_is_told_once_and_waited_out(store: Store, home: Home, rank: Rank) -> None:
    bucket = store.bucket("outage")
    place = home.attached(store, store.mount("~/ckpt", "outage", "MOUNT_CACHED", options={"dir-cache-time": "60s"}))
    script = f"ls {place}; echo up; sleep 1; for i in 1 2 3; do echo $i >{place}/f$i; echo step $i; done"
    follower = rank.start(script, **WATCHED)
    follower.saw(b"up")
    with store.gone():
        follower.saw(b"step 3")
        follower.saw(b"s3://outage cannot be reached since ")
        assert not follower.frame("exit")
        follower.renew()
    end = follower.end(60)
    assert (end["code"], end["why"]) == (0, "exit")
    assert sorted(path.name for path in bucket.glob("f*")) == ["f1", "f2", "f3"]
    assert follower.log.count(b"cannot be reached") == 1 == follower.log.count(b"can be reached again")
    assert b"nothing is lost, 3 files wait\n" in follower.log


@pytest.mark.soak
def test_half_a_minute_without_the_bucket(store: Store, home: Home, rank: Rank) -> None:
    bucket = store.bucket("half-a-minute")
    cached, direct = store.mount("~/ckpt", "half-a-minute", "MOUNT_CACHED"), store.mount("~/data", "half-a-minute")
    home.attached(store, cached, direct)
    script = f"""cd {home.place(cached)}; for step in $(seq 45); do
      head -c 2000000 /dev/zero >part; mv part step-$step; echo $step >{home.place(direct)}/last; echo at $step; sleep 1
    done"""
    follower = rank.start(script, **WATCHED, lease_s=0)
    follower.saw(b"at 5\n")
    with store.gone():
        back_at = time.monotonic() + 30
        until(lambda: time.monotonic() > back_at, "half a minute", 40)
    end = follower.end(200)
    assert (end["code"], end["why"]) == (0, "exit"), follower.log
    assert {path.name for path in bucket.glob("step-*")} == {f"step-{step}" for step in range(1, 46)}
    assert all(path.stat().st_size == 2000000 for path in bucket.glob("step-*"))
    assert (bucket / "last").read_text() == "45\n"


def test_a_job_that_is_cancelled_does_not_wait(store: Store, home: Home, rank: Rank) -> None:
    store.bucket("left")
    place = home.attached(store, store.mount("~/ckpt", "left", "MOUNT_CACHED"))
    assert list(place.iterdir()) == []
    with store.gone():
        follower = rank.start(f"echo x >{place}/f", **WATCHED)
        follower.saw(b"waiting for 1 file")
        began = time.monotonic()
        follower.order(op="end", grace_s=5)
        end = follower.end()
        assert time.monotonic() - began < 1 and (end["code"], end["why"]) == (143, "ended")
        assert set(home.look()["~/ckpt"]["dirty"]) == {"f"}
    until(lambda: (store.folder / "left" / "f").exists(), "the file, which goes up all the same", 60)


def test_files_that_cannot_come_up_fail_the_job(store: Store, home: Home, rank: Rank) -> None:
    store.bucket("lost")
    plan = store.mount("~/ckpt", "lost", "MOUNT_CACHED")
    place = home.attached(store, plan)
    assert list(place.iterdir()) == []
    with store.gone():
        follower = rank.start(f"echo 12345 >{place}/f", **WATCHED)
        follower.saw(b"waiting for 1 file")
        home.kill(plan)
        end = follower.end()
    assert (end["code"], end["why"]) == (5, "mount")
    assert "killed by signal 9; not in the bucket: s3://lost/f (6 B)" in end["reason"]


def test_a_full_cache_fails_the_write(store: Store, home: Home, rank: Rank) -> None:
    bucket = store.bucket("small")
    folder = home.folder / ".skyrig" / "mounts"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], check=True)
    try:
        place = home.attached(store, store.mount("~/ckpt", "small", "MOUNT_CACHED"))
        follower = rank.start(f"head -c 16777216 /dev/zero >{place}/f || exit 9", **WATCHED)
        end = follower.end()
        assert (end["code"], end["why"]) == (9, "exit"), follower.log
        assert (
            b"Input/output error\n[skyrig] mount ~/ckpt (s3://small): the disk of its cache is full\n" in follower.log
        )
        assert not (bucket / "f").exists() or (bucket / "f").stat().st_size < 16 << 20
    finally:
        home.ask("detach", targets=None, force=True)
        subprocess.run(["umount", "-l", str(folder)], check=True)
