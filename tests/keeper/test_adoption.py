"""kill -9 of the keeper, and of its watch process, at any moment of a job: the next keeper goes on where it was."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
from pathlib import Path

import pytest
from keeper_cluster import Following, KeeperCluster, until

from bench import record
from skyrig.launch.job import Scripts
from skyrig.launch.lines import SETUP

LINES = 60
SETUP_TEXT = "echo s >>~/setups-{n}; sleep 0.3; echo set up"
RUN_TEXT = """
echo r >>~/runs-{n}
echo port $MASTER_PORT
cat file-{n}
for i in $(seq {lines}); do echo line $i; printf half; sleep 0.01; echo; done
exit $(( SKYPILOT_NODE_RANK == 1 ? {code} : 0 ))
"""


def expected(n: int, port: bytes) -> bytes:
    """What one rank prints."""
    lines = b"".join(b"line %d\nhalf\n" % i for i in range(1, LINES + 1))
    return b"port %s\nfile %d\n" % (port, n) + lines


def counted(cluster: KeeperCluster, name: str) -> list[int]:
    """How often each node was written to in that file."""
    files = [node.home / name for node in cluster.nodes]
    return [len(file.read_text().split()) if file.exists() else 0 for file in files]


def a_job_with_kills(cluster: KeeperCluster, n: int, chance: random.Random) -> None:
    """One job of two ranks with files and setup, and one behind it in the queue; the keeper is killed meanwhile."""
    code, cancelled = chance.choice((0, 7)), chance.random() < 0.2
    manifest = cluster.sync({f"file-{n}": b"file %d\n" % n})
    setup = Scripts({"run.sh": SETUP_TEXT.format(n=n)})
    run = RUN_TEXT.format(n=n, lines=LINES, code=code)
    first = cluster.submit(run, 2, setup=setup, manifest=manifest, force_setup=chance.random() < 0.5)
    behind = cluster.ask(op="submit", request={**cluster.request("echo behind", 2), "cpus": 4.0})["record"]["id"]
    following = Following(cluster, first)
    moments = sorted(chance.random() * 2.2 for _ in range(chance.choice((1, 1, 2))))
    began = time.monotonic()
    for moment in moments:
        time.sleep(max(0.0, began + moment - time.monotonic()))  # the moment is what is random
        cluster.kill(watch=chance.random() < 0.4)
    if cancelled:
        cluster.patient(op="cancel", ids=[first])
    record = cluster.ended(first)
    following.join(30)
    told = f"killed at {moments}: {record}\n{cluster.keeper_log()}"
    assert not following.is_alive(), told
    assert cluster.log(first).read_bytes() == following.kept, told
    assert max(counted(cluster, f"setups-{n}")) <= 1, told
    assert max(counted(cluster, f"runs-{n}")) <= 1, told
    if record["status"] == "CANCELLED":
        assert cancelled, told
    else:
        assert record["exit_code"] == record["exit_codes"][1] == code, told
        ended = code and record["exit_codes"][0] == 143  # rank 1 may fail before rank 0, started later, is through
        assert ended or record["exit_codes"][0] == 0, told
        outputs = following.outputs()
        port = outputs[1].split()[1]
        assert outputs[1] == expected(n, port), told
        assert outputs[0] == outputs[1] or (ended and outputs[1].startswith(outputs[0].partition(b"Term")[0])), told
        assert [outputs[SETUP + rank] for rank in (0, 1)] == [b"set up\n"] * 2, told
        assert counted(cluster, f"setups-{n}") == [1, 1], told
    second = cluster.ended(behind)
    assert second["status"] == "SUCCEEDED", told
    assert second["started_at"] >= record["ended_at"] - 0.01, "the one behind waited for its turn"


def rounds(cluster: KeeperCluster, count: int) -> list[int]:
    """That many jobs; the seed of one that goes wrong is in its message. Returns all seeds."""
    seeds = []
    for n in range(count):
        seeds.append(int(os.environ.get("SKYRIG_TEST_SEED", 0)) or random.randrange(1 << 30))
        print(f"round {n}: SKYRIG_TEST_SEED={seeds[-1]}")
        a_job_with_kills(cluster, seeds[-1], random.Random(seeds[-1]))
    return seeds


def test_killed_at_random_moments_every_job_goes_on(cluster: KeeperCluster) -> None:
    rounds(cluster, 6)


@pytest.mark.soak
def test_killed_at_sixty_random_moments(cluster: KeeperCluster) -> None:
    seeds = rounds(cluster, 60)
    record.write("keeper-kills", {"failures": 0, "seeds": seeds}, counts={"jobs": len(seeds)})


def test_a_cancel_is_remembered(cluster: KeeperCluster) -> None:
    """The job takes its time to end; the keeper that was told dies meanwhile, and nobody tells the next one."""
    job = cluster.submit("trap 'echo told; sleep 2; echo saved; exit 0' TERM; echo a; while :; do sleep 0.05; done", 2)
    following = Following(cluster, job)
    until(lambda: following.kept.count(b"|a\n") == 2, "both ranks run")
    with cluster.connect() as line:
        line.sendall(b'{"op": "cancel", "ids": [%d]}\n' % job)
        until(lambda: b"told" in following.kept, "the job was told")
        cluster.kill()
        record = cluster.ended(job)
    assert (record["status"], record["reason"], record["exit_code"]) == ("CANCELLED", "cancelled", 143)
    following.join(30)
    said = {rank: text.replace(b"Terminated\n", b"") for rank, text in following.outputs().items()}  # bash's own word
    assert said == {0: b"a\ntold\nsaved\n", 1: b"a\ntold\nsaved\n"}


def test_who_failed_first_is_known_to_the_next_keeper(cluster: KeeperCluster) -> None:
    """Rank 1 fails; the keeper dies while it ends rank 0, whose own end must not count."""
    job = cluster.submit(
        "[ $SKYPILOT_NODE_RANK = 0 ] || { sleep 0.5; exit 9; }\n"
        "trap 'echo told; sleep 1.5; exit 3' TERM; while :; do sleep 0.05; done",
        2,
    )
    following = Following(cluster, job)
    until(lambda: b"told" in following.kept, "rank 0 was told to end")
    cluster.kill()
    record = cluster.ended(job)
    assert (record["exit_code"], record["culprit"], record["exit_codes"]) == (9, 1, [3, 9])


@pytest.mark.soak
def test_a_lost_node_is_the_culprit_also_for_the_next_keeper(own_cluster: KeeperCluster) -> None:
    """Rank 1's node is gone for good; the keeper dies after it ended rank 0 because of that."""
    job = own_cluster.submit("trap 'echo told; sleep 2; exit 3' TERM; echo a; while :; do sleep 0.05; done", 2)
    following = Following(own_cluster, job)
    until(lambda: following.kept.count(b"|a\n") == 2, "both ranks run")
    own_cluster.nodes[1].stop()
    until(lambda: b"told" in following.kept, "rank 0 was told to end")
    own_cluster.kill()
    record = own_cluster.ended(job)
    assert (record["exit_code"], record["culprit"]) == (4, 1)
    assert "lost node n1" in record["reason"]


def test_a_write_that_was_cut_off_leaves_a_table_that_says_where_to_go_on(own_cluster: KeeperCluster) -> None:
    """RUNNING is written and no rank was started: as after a kill between the two, made by hand in the table."""
    own_cluster.nodes[1].process.send_signal(19)  # so that the first keeper cannot start rank 1
    job = own_cluster.submit("echo r >>~/runs-0; echo done", 2)
    own_cluster.runs(job)
    own_cluster.kill(watch=True)
    own_cluster.nodes[1].process.send_signal(18)
    record = own_cluster.ended(job)
    assert record["status"] == "SUCCEEDED", record
    assert counted(own_cluster, "runs-0") == [1, 1]


def test_the_table_is_whole_after_a_kill_in_the_middle_of_writes(own_cluster: KeeperCluster) -> None:
    jobs = [own_cluster.submit("true") for _ in range(3)]
    own_cluster.kill(watch=True)
    jobs += [own_cluster.submit("true") for _ in range(3)]
    assert jobs == [1, 2, 3, 4, 5, 6], "ids are never given twice"
    for job in jobs:
        assert own_cluster.ended(job)["status"] == "SUCCEEDED"
    own_cluster.kill(watch=True)
    path = Path(own_cluster.keeper_home / "jobs.db")
    os.kill(own_cluster.pid("watch"), 9)
    os.kill(own_cluster.pid(), 9)
    until(lambda: not own_cluster.pid(), "no keeper")
    with contextlib.closing(sqlite3.connect(path)) as table:
        assert table.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert table.execute("select count(*) from plans").fetchone() == (0,), (
            "nothing is left of jobs that are settled"
        )
    own_cluster.ensure()
