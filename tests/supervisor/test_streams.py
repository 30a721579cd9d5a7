"""What followers see: no gap, no duplicate, no delay, whatever happens to them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from supervised import COMMAND, Rank, about, until

COUNT = 'i=0; while [ $i -lt {n} ]; do i=$((i+1)); echo "line $i"; [ $((i % 50)) != 0 ] || sleep 0.01; done'


def counted(n: int) -> bytes:
    """What COUNT prints."""
    return b"".join(b"line %d\n" % i for i in range(1, n + 1))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = about(pid, "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_first_output_comes_soon(rank: Rank, tmp_path: Path) -> None:
    """Beside a bare interpreter, so that a busy machine does not decide; alone it is about 40 ms."""
    begin = time.monotonic()
    subprocess.run([sys.executable, "-I", "-S", "-c", "import json, socket, threading"], check=True)
    bare = time.monotonic() - begin
    taken = []
    for n in range(3):
        one = Rank(tmp_path / str(n))
        follower = one.start("echo hello")
        follower.end()
        taken.append(follower.first_log_at)
        one.close()
    assert min(taken) < 0.05 + 3 * bare


def test_output_arrives_when_it_is_printed(rank: Rank) -> None:
    follower = rank.start("read_time() { date +%s.%N; }; for i in 1 2 3 4 5; do sleep 0.1; read_time; done; sleep 1000")
    lags = []
    for n in range(5):
        until(lambda n=n: follower.log.count(b"\n") > n, "the next line")
        lags.append(time.time() - float(follower.log.split(b"\n")[n]))
    assert min(lags) < 0.05


def test_the_end_arrives_when_it_happens(rank: Rank) -> None:
    follower = rank.start("sleep 0.2; date +%s.%N")
    follower.end()
    assert time.time() - float(follower.log) < 1
    assert follower.frames[-1]["age_s"] < 0.5


def test_broken_at_random_points_the_parts_join(rank: Rank) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    follower = rank.start(COUNT.format(n=2000) + "; while [ ! -e enough ]; do sleep 0.02; done")
    follower.up()  # a `start` that is killed before that has started nothing; it is repeated, as another test shows
    log = b""
    breaks = 0
    while follower.frame("exit") is None:
        if breaks >= 3:
            (rank.cwd / "enough").touch()
        if chance.random() < 0.7:  # mostly once it is under way, so that a busy machine gets through too
            until(lambda f=follower: f.frames or f.log, "the follower to be under way")
        deadline = time.monotonic() + chance.random() * 0.12
        until(lambda f=follower, d=deadline: f.frame("exit") or time.monotonic() > d, "the point to break at")
        if follower.frame("exit"):
            break
        breaks += 1
        if chance.random() < 0.5:
            follower.process.kill()
            follower.process.wait()
            until(lambda f=follower: not f._reader.is_alive(), "the reader to see it")
        else:
            follower.detach()
        log += follower.log
        follower = rank.attach(follower.offset)
    follower.end()
    assert log + follower.log == counted(2000)


def test_many_at_once_see_the_same(rank: Rank) -> None:
    first = rank.start(COUNT.format(n=1000))
    first.up()
    others = [rank.attach() for _ in range(6)]
    for follower in (first, *others):
        assert follower.end()["code"] == 0
        assert follower.log == counted(1000)
        assert [frame["k"] for frame in follower.frames] == ["up", "exit"]


def test_a_renewal_is_answered_however_silent_the_job_is(rank: Rank) -> None:
    follower = rank.start("sleep 30")
    follower.up()
    follower.order(op="lease")
    until(lambda: follower.frame("lease"), "the answer to a renewal")
    rank.call("end", "0")


def test_detached_the_job_goes_on_and_its_end_can_be_read_later(rank: Rank) -> None:
    follower = rank.start("echo a; sleep 0.3; echo b; exit 6")
    follower.saw(b"a\n")
    follower.detach()
    until(lambda: (rank.dir / "result").exists(), "the result")
    until(lambda: rank.call("status")["k"] == "exit", "the end")
    again = rank.attach(2)
    assert again.end()["code"] == 6
    assert again.log == b"b\n"
    whole = rank.attach()
    whole.end()
    assert whole.log == b"a\nb\n"


def test_attach_may_come_before_the_end_of_time(rank: Rank) -> None:
    """An offset beyond the log shows nothing but the end; a folder that never was is gone."""
    rank.start("echo a").end()
    beyond = rank.attach(1000)
    assert (beyond.end()["code"], beyond.log) == (0, b"")
    done = subprocess.run([*COMMAND, "attach", str(rank.dir / "none"), "0"], input=b"", capture_output=True)
    assert (done.returncode, done.stdout) == (0, b'{"k":"gone"}\n')


def test_a_follower_that_does_not_read_holds_nobody(rank: Rank) -> None:
    """Neither the job, nor others, nor its own lease orders, which go on arriving."""
    stuck = rank.start("yes | head -c 3000000; echo; sleep 1.5; echo done", read=False, lease_s=1, log_limit=10 << 20)
    until((rank.dir / "started").exists, "the daemon")
    other = rank.attach()
    while other.process.poll() is None:
        stuck.order(op="lease")
        time.sleep(0.1)
    assert other.end()["why"] == "exit"
    assert len(other.log) == 3000006
    assert stuck.process.poll() is None
    stuck._reader.start()
    assert stuck.end()["code"] == 0
    assert stuck.log == other.log


def test_a_follower_that_was_stopped_for_long_sees_what_comes_then_as_it_comes(rank: Rank) -> None:
    """The daemon keeps no more for it than its socket takes, and does not turn in circles over the rest."""
    stuck = rank.start("while [ ! -e go ]; do echo x; sleep 0.001; done; sleep 0.5; echo later; sleep 1000")
    daemon = stuck.up()
    os.kill(stuck.process.pid, signal.SIGSTOP)
    log = rank.dir / "log"
    until(lambda: log.stat().st_size > 1400, "more turns than the socket has room for")
    os.kill(stuck.process.pid, signal.SIGCONT)
    (rank.cwd / "go").touch()
    before = cpu_seconds(daemon)
    stuck.saw(b"later\n", 5)
    assert cpu_seconds(daemon) - before < 0.3, "it had next to nothing to do"


def test_a_stopped_follower_holds_nobody(rank: Rank) -> None:
    stuck = rank.start("echo a; " + COUNT.format(n=3000))
    stuck.saw(b"a\n")
    os.kill(stuck.process.pid, signal.SIGSTOP)
    assert rank.attach().end()["code"] == 0
    os.kill(stuck.process.pid, signal.SIGCONT)
    assert stuck.end()["code"] == 0
    assert stuck.log == b"a\n" + counted(3000)


def test_starting_again_joins_what_runs(rank: Rank) -> None:
    """The keeper repeats `start` when the connection broke: one job, the same log."""
    script = f"echo x >>{str(rank.cwd.parent)!r}/runs; sleep 0.4; echo done"
    followers = [rank.start(script) for _ in range(5)]
    assert {follower.end()["code"] for follower in followers} == {0}
    assert {follower.log for follower in followers} == {b"done\n"}
    assert rank.start("echo another").end()["code"] == 0
    assert (rank.cwd.parent / "runs").read_text() == "x\n"


def test_a_start_that_was_killed_can_be_repeated(rank: Rank) -> None:
    """Killed at any moment, it has started the rank or not; a second one finishes, and the script runs once."""
    chance = random.Random(7)
    for n in range(8):
        one = Rank(rank.dir / str(n))
        script = f"echo x >>{str(one.dir.parent)!r}.runs; sleep 0.1"
        follower = one.start(script, read=False)
        time.sleep(chance.random() * 0.06)
        follower.process.kill()
        last = one.start(script).end()
        runs = Path(f"{one.dir.parent}.runs")
        assert last["k"] == "exit"
        assert runs.read_text() == "x\n"
        one.close()


def test_idle_costs_next_to_nothing(rank: Rank) -> None:
    follower = rank.start("echo a; sleep 1000", env={"A": "b"})
    follower.saw(b"a\n")
    daemon = follower.up()
    before = cpu_seconds(daemon), cpu_seconds(follower.process.pid)
    time.sleep(2)  # the time itself is what is measured
    assert cpu_seconds(daemon) - before[0] <= 0.05
    assert cpu_seconds(follower.process.pid) - before[1] <= 0.02


def test_sixteen_at_once_start_and_end(tmp_path: Path) -> None:
    ranks = [Rank(tmp_path / str(n)) for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda pair: pair[1].start(f"exit {pair[0]}").end()["code"], enumerate(ranks)))
    assert codes == list(range(16))
    for one in ranks:
        one.close()


def test_usage_and_bad_specs_are_one_line(rank: Rank) -> None:
    def refused(line: str) -> str:
        done = subprocess.run([*COMMAND, "start"], input=line.encode(), capture_output=True)
        assert (done.returncode, json.loads(done.stdout)["k"]) == (1, "ready")
        text = done.stderr.decode()
        assert text.startswith("supervisor: ")
        assert text.count("\n") == 1
        return text

    assert "whole" in refused('{"version": 1')
    assert "well formed" in refused("[]\n")
    assert "version 2" in refused('{"version": 2}\n')
    for change, words in (
        ({"files": {"../x": ""}}, "FOLDER/NAME is needed"),
        ({"files": {"log": ""}}, "FOLDER/NAME is needed"),
        ({"entry": "none.sh"}, "not among"),
        ({"env": {"A": "a\0b"}}, "NUL"),
        ({"env": {"A=": "b"}}, "'A='"),
        ({"dir": "/proc/none/x"}, "No such file"),
    ):
        assert words in refused(json.dumps(rank.spec("true", **change)) + "\n")
    assert not rank.dir.exists()
    assert subprocess.run([*COMMAND, "dance"], capture_output=True).returncode == 2
