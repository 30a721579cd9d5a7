"""The lease is strict: what the keeper may call lost is dead, however late orders come and whatever the clock says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from supervised import COMMAND, PROGRAM, Follower, Rank, until

from skyrig.launch.supervisor import Attached, clock

STUBBORN = "trap '' TERM HUP INT; (setsid bash -c 'trap \"\" TERM; while :; do sleep 1; done' &)\n"
FOREVER = STUBBORN + "echo a; while :; do sleep 0.1; done"

SKEWED = """
import sys, time
real, calls = time.time, [0]
def skewed():
    calls[0] += 1
    return real() + (86400 if calls[0] % 2 else -86400)
time.time = skewed
sys.argv = sys.argv[1:]
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"))
"""
"""Runs the supervisor under a wall clock that jumps by two days each time it is read."""


def renewing(follower: Follower, seconds: float, pace: float, until_s: Callable[[], float] = time.monotonic) -> None:
    """Renew for that long."""
    end = until_s() + seconds
    while until_s() < end:
        follower.renew()
        time.sleep(pace)  # the pace of renewals is what is given


def dead_at(rank: Rank) -> float:
    """By when nothing of the rank was left, on the supervisor's clock."""
    looked = [0.0]

    def gone() -> bool:
        looked[0] = clock()
        return not rank.processes()

    until(gone, "the tree to end")
    return looked[0]


def test_all_is_dead_when_the_lease_has_run_out(rank: Rank) -> None:
    """Counted from the last moment that was sent to the keeper before its last order; TERM came before."""
    follower = rank.start(FOREVER, lease_s=4)
    follower.saw(b"a\n")
    until(lambda: len(rank.processes()) >= 3, "the tree")
    renewing(follower, 1, 0.2)
    last = follower.moment
    follower.order(op="lease", t=last)
    assert dead_at(rank) <= last + 4
    assert follower.end()["why"] == "lease"


def test_an_order_that_was_long_on_its_way_extends_nothing(rank: Rank) -> None:
    """As when the way to the node works and the way back does not: the keeper hears nothing and goes on renewing."""
    follower = rank.start(FOREVER, lease_s=2)
    follower.saw(b"a\n")
    moment = follower.moment
    while follower.process.poll() is None:
        try:
            follower.order(op="lease", t=moment)
        except BrokenPipeError:
            break
        time.sleep(0.05)
    assert follower.end()["why"] == "lease"
    assert clock() < moment + 2 + 1
    assert rank.processes() == []


def test_a_late_order_to_start_is_refused(rank: Rank) -> None:
    spec = rank.spec("echo never", lease_s=2, t=clock() - 2.1)
    done = subprocess.run([*COMMAND, "start"], input=json.dumps(spec).encode() + b"\n", capture_output=True)
    assert done.returncode == 1
    assert b"on its way for longer than the lease" in done.stderr
    assert not (rank.dir / "started").exists()
    assert rank.start("echo now", lease_s=2, t=clock() - 0.5).end()["code"] == 0


@pytest.mark.parametrize("renewed", [False, True])
def test_a_wall_clock_that_jumps_changes_nothing(rank: Rank, renewed: bool) -> None:
    spec = rank.spec(rank.record(0, 7) + "echo a; sleep 3; exit 1", lease_s=2)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SKEWED, str(PROGRAM), "start"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(spec).encode() + b"\n")
        process.stdin.flush()
        until((rank.dir / "started").exists, "the daemon")
        follower = rank.attach()
        while follower.process.poll() is None:
            if renewed:
                try:
                    follower.renew()
                except BrokenPipeError:
                    break
            time.sleep(0.1)
        last = follower.end()
        assert (last["why"], last["code"]) == (("exit" if renewed else "lease"), 7)
        assert (2.5 if renewed else 0.5) < last["first"]["age_s"] < 10
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("done", [False, True])
def test_a_renewal_is_answered_until_the_last_frame_is_out(done: bool) -> None:
    ours, daemons = socket.socketpair()
    with ours, daemons:
        attached = Attached(0)
        attached.sock, attached.done = ours, done
        attached._orders(b'{"op": "lease", "t": 1.5}\n')
        assert daemons.recv(100) == b"lease 1.5\n"
        assert bool(attached.out) is not done


def test_a_daemon_that_stood_still_hears_the_renewal_that_waits_for_it(rank: Rank) -> None:
    follower = rank.start(FOREVER, lease_s=4)
    follower.saw(b"a\n")
    daemon, begin = follower.up(), follower.moment
    os.kill(daemon, signal.SIGSTOP)
    renewing(follower, 3, 0.2, clock)  # past TERM's time, which is 2.7 s after the start
    os.kill(daemon, signal.SIGCONT)
    until(lambda: clock() > begin + 4.5, "the first lease to be over")
    assert rank.processes()
    assert follower.process.poll() is None


def test_renewals_keep_a_busy_node_alive(rank: Rank, tmp_path: Path) -> None:
    """Every eighth of the lease, as the keeper sends them, while the job takes every core several times over."""
    spin = "(while :; do :; done) & " * (3 * (os.cpu_count() or 1))
    follower = rank.start(spin + "echo a; sleep 4; echo done; kill $(jobs -p)", lease_s=3)
    follower.saw(b"a\n")
    while follower.process.poll() is None:
        try:
            follower.renew()
        except BrokenPipeError:
            break
        time.sleep(3 / 8)
    assert follower.end()["why"] == "exit"
    assert follower.log == b"a\ndone\n"
