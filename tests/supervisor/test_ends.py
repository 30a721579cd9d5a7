"""How a rank ends: its code, who ended it, and that nothing of it is left."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest
from supervised import Frame, Rank, until

STUBBORN = "trap '' TERM HUP INT; "
GRANDCHILD = "(setsid bash -c '(sleep 1000 & ) ; exec sleep 1000' </dev/null >/dev/null 2>&1 &)\n"
"""Daemonised twice: reparented, in sessions of their own, with no descriptor of the job's."""


def brief(frame: Frame) -> tuple[object, ...]:
    """The parts of an exit frame that do not vary."""
    first = frame["first"]
    return frame["code"], frame["signal"], frame["why"], first and (first["local"], first["code"])


CASES = {
    "success": ("true", (0, 0, "exit", None)),
    "code": ("exit 3", (3, 0, "exit", None)),
    "code-255": ("exit 255", (255, 0, "exit", None)),
    "killed": ("kill -9 $$", (137, 9, "exit", None)),
    "terminated": ("kill $$", (143, 15, "exit", None)),
    "syntax-error": ("if", (2, 0, "exit", None)),
    "record": ("{r0.7}\nexit 1", (7, 0, "exit", (0, 7))),
    "first-of-two": ("{r1.7}\nsleep 0.03\n{r0.9}\nexit 1", (7, 0, "exit", (1, 7))),
    "zero-does-not-count": ("{r1.0}\nsleep 0.03\n{r0.9}\nexit 1", (9, 0, "exit", (0, 9))),
    "script-forgave": ("{r1.7}\nexit 0", (0, 0, "exit", (1, 7))),
    "strange-records": ("cd $SKYRIG_RANK_DIR/proc; echo 5 >x.1; echo no >0.1; exit 4", (4, 0, "exit", None)),
    "own-folder-removed": ("rm -rf $SKYRIG_RANK_DIR/proc; exit 4", (4, 0, "exit", None)),
}


@pytest.mark.parametrize("case", CASES)
def test_code(rank: Rank, case: str) -> None:
    script, expected = CASES[case]
    for local, code in ((0, 7), (1, 7), (0, 9), (1, 0)):
        script = script.replace(f"{{r{local}.{code}}}", rank.record(local, code))
    follower = rank.start(script)
    assert brief(follower.end()) == expected
    until(lambda: rank.call("status")["k"] == "exit", "the result is stored: followers are told it first")
    assert rank.call("status")["code"] == expected[0]


def test_records_arrive_while_it_runs_and_carry_their_age(rank: Rank) -> None:
    follower = rank.start(rank.record(3, 7) + "sleep 0.6; echo later; exit 1")
    until(lambda: follower.frame("proc"), "the record")
    assert b"later" not in follower.log
    last = follower.end()
    assert 0.5 < last["first"]["age_s"] < 5
    assert last["age_s"] < last["first"]["age_s"]
    again = rank.attach()
    assert [brief(again.end()), again.log] == [brief(last), follower.log]
    assert [frame["k"] for frame in again.frames] == ["up", "proc", "exit"]


def test_records_that_our_own_term_caused_do_not_count(rank: Rank) -> None:
    follower = rank.start(
        "(trap 'rc=9; " + rank.record(0, 9).strip() + "; exit 9' TERM; echo ready; while :; do sleep 0.01; done) &\n"
        "sleep 0.3\n" + rank.record(1, 7) + "sleep 1000"
    )
    follower.saw(b"ready")
    until(lambda: follower.frame("proc"), "the record of the one that failed")
    follower.order(op="end", grace_s=5)
    assert brief(follower.end()) == (7, 15, "ended", (1, 7))


def test_end_reaches_the_whole_tree(rank: Rank) -> None:
    follower = rank.start(GRANDCHILD + "setsid sleep 1000 & disown\necho ready; wait; sleep 1000")
    follower.saw(b"ready")
    until(lambda: len(rank.processes()) >= 4, "the tree")
    follower.order(op="end", grace_s=10)
    assert brief(follower.end(5)) == (143, 15, "ended", None)
    assert rank.processes() == []


def test_who_ignores_term_is_killed_after_the_grace(rank: Rank) -> None:
    loop = f"{STUBBORN} echo a; while :; do sleep 0.1; done"
    follower = rank.start(f'setsid bash -c "{loop}" &\n{loop}')
    follower.saw(b"a\na\n")
    begin = time.monotonic()
    follower.order(op="end", grace_s=0.5)
    assert brief(follower.end())[:3] == (137, 9, "ended")
    assert 0.4 < time.monotonic() - begin < 3


def test_a_second_end_shortens_the_grace(rank: Rank) -> None:
    follower = rank.start(f"{STUBBORN} echo a; while :; do sleep 0.1; done")
    follower.saw(b"a\n")
    follower.order(op="end", grace_s=600)
    follower.order(op="end", grace_s=0)
    assert brief(follower.end(5))[:3] == (137, 9, "ended")


def test_term_lets_a_job_clean_up_and_choose_its_code(rank: Rank) -> None:
    follower = rank.start("trap 'echo saved; exit 12' TERM; echo a; while :; do sleep 0.05; done")
    follower.saw(b"a\n")
    follower.order(op="end", grace_s=5)
    assert brief(follower.end()) == (12, 0, "ended", None)
    assert follower.log.endswith(b"saved\n")


def test_stopped_processes_end_too(rank: Rank) -> None:
    follower = rank.start("echo a; kill -STOP $$")
    follower.saw(b"a\n")
    follower.order(op="end", grace_s=5)
    assert brief(follower.end(4))[2] == "ended"


def test_leftovers_of_a_script_that_ended_are_ended(rank: Rank) -> None:
    follower = rank.start(GRANDCHILD + "sleep 1000 &\nexit 5")
    assert brief(follower.end(5)) == (5, 0, "exit", None)
    assert rank.processes() == []


def test_a_tree_that_keeps_forking_ends(rank: Rank) -> None:
    hop = "hop() { [ $1 -gt 3000 ] || { sleep 0.002; hop $(($1 + 1)) & exit; }; }\n"
    follower = rank.start(f"{STUBBORN}\n{hop}\nfor i in 1 2 3; do hop 0 & done; echo a; while :; do sleep 0.1; done")
    follower.saw(b"a\n")
    follower.order(op="end", grace_s=0.2)
    follower.end(10)
    assert rank.processes() == []


def test_nothing_outside_the_tree_is_signalled(rank: Rank, tmp_path: Path) -> None:
    """Another rank of the same shape lives on, and so does the follower's own family."""
    other = Rank(tmp_path / "other")
    bystander = other.start("echo a; sleep 1000")
    bystander.saw(b"a\n")
    follower = rank.start(GRANDCHILD + "echo a; sleep 1000")
    follower.saw(b"a\n")
    before = set(other.processes())
    follower.order(op="end", grace_s=0)
    follower.end()
    assert set(other.processes()) == before
    assert bystander.process.poll() is None
    other.close()


def test_an_expired_lease_ends_the_tree(rank: Rank) -> None:
    follower = rank.start(GRANDCHILD + "echo a; sleep 1000", lease_s=0.6)
    follower.saw(b"a\n")
    begin = time.monotonic()
    follower.detach()
    until(lambda: not rank.processes(), "the tree to end")
    assert time.monotonic() - begin < 3
    assert brief(rank.attach().end()) == (143, 15, "lease", None)


def test_renewals_keep_it_alive_and_so_does_a_follower_that_renews_alone(rank: Rank) -> None:
    follower = rank.start("sleep 1.5; echo done", lease_s=0.5)
    while follower.process.poll() is None:
        try:
            follower.order(op="lease")
        except BrokenPipeError:
            break
        time.sleep(0.1)
    assert brief(follower.end()) == (0, 0, "exit", None)


def test_a_stopped_daemon_does_not_outlive_its_lease(rank: Rank) -> None:
    """A machine that sleeps through its lease ends the rank as soon as it wakes."""
    follower = rank.start("echo a; sleep 1000", lease_s=0.5)
    follower.saw(b"a\n")
    daemon = follower.up()
    os.kill(daemon, signal.SIGSTOP)
    time.sleep(0.7)  # the time itself is what is tested
    os.kill(daemon, signal.SIGCONT)
    assert brief(follower.end(3))[2] == "lease"


def test_a_lost_node_ends_the_tree_within_a_second(rank: Rank, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "alive.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    rank.popen["env"] = os.environ | {"SKYRIG_NODE_LOCK": str(tmp_path / "alive.lock")}
    follower = rank.start("echo a; sleep 1000")
    follower.saw(b"a\n")
    time.sleep(0.5)  # while the lock is held nothing happens
    assert follower.process.poll() is None
    begin = time.monotonic()
    os.close(lock)
    assert brief(follower.end()) == (143, 15, "node", None)
    assert time.monotonic() - begin < 1


def test_a_lock_that_is_not_there_is_not_watched(rank: Rank, tmp_path: Path) -> None:
    rank.popen["env"] = os.environ | {"SKYRIG_NODE_LOCK": str(tmp_path / "none")}
    assert brief(rank.start("sleep 0.4").end()) == (0, 0, "exit", None)


def test_kill_9_of_the_daemon_ends_the_tree_and_is_told(rank: Rank) -> None:
    follower = rank.start(GRANDCHILD + STUBBORN + "echo a; sleep 1000; sleep 1000")
    follower.saw(b"a\n")
    until(lambda: len(rank.processes()) >= 3, "the tree")
    os.kill(follower.up(), signal.SIGKILL)
    assert follower.end(5) == {"k": "gone"}
    assert rank.processes() == []
    assert rank.attach().end() == {"k": "gone"}
    assert rank.call("status") == {"k": "gone"}
    assert rank.start("echo again").end() == {"k": "gone"}, "a rank never starts twice"


def test_kill_9_of_the_warden_ends_the_tree(rank: Rank) -> None:
    follower = rank.start(GRANDCHILD + "echo $PPID.; sleep 1000")
    follower.saw(b".\n")
    os.kill(int(follower.log.split(b".")[0]), signal.SIGKILL)
    assert brief(follower.end(5)) == (137, 9, "exit", None)
    assert rank.processes() == []


def test_term_of_the_daemon_ends_the_rank_in_order(rank: Rank) -> None:
    follower = rank.start("trap 'exit 3' TERM; echo a; while :; do sleep 0.05; done")
    follower.saw(b"a\n")
    os.kill(follower.up(), signal.SIGTERM)
    assert brief(follower.end(5)) == (3, 0, "ended", None)


def test_end_and_status_from_outside(rank: Rank) -> None:
    assert rank.call("status") == {"k": "gone"}
    follower = rank.start("echo a; sleep 1000")
    follower.saw(b"a\n")
    assert rank.call("status") == {"k": "up", "pid": follower.up(), "log": 2}
    assert brief(rank.call("end", "1"))[:3] == (143, 15, "ended")
    assert brief(follower.end())[2] == "ended"
    assert brief(rank.call("end"))[2] == "ended"
