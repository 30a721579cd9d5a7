"""What a follower sees of a job before it runs, from a keeper that tells which nodes are in setup, and from others."""

from __future__ import annotations

from attrs import evolve
from live_reader import Reader

from skyrig.launch.job import JobRecord, JobStatus
from skyrig.launch.lines import NOTE, SETUP
from skyrig.launch.prelude import Prelude

PENDING = JobRecord(7, "u", "job", JobStatus.PENDING, 2, 0.0, cluster=("n0", "n1", "n2"))
SETTING_UP = evolve(PENDING, status=JobStatus.SETTING_UP, nodes=("n0", "n1"))
RUNNING = evolve(SETTING_UP, status=JobStatus.RUNNING)


def test_queue_setup_and_run() -> None:
    reader = Reader()
    prelude = Prelude(reader)
    prelude.advance(PENDING)
    assert reader.sees == {"job 7": "waits for its turn"}
    prelude.advance(evolve(PENDING, reason="2 GPUs are wanted, n1 has none"))
    assert reader.sees == {"job 7": "2 GPUs are wanted, n1 has none"}
    prelude.advance(evolve(PENDING, nodes=("n0", "n1")))
    assert reader.sees == {"job 7": "starts on n0, n1"}
    prelude.now([], [3_000_000, 8_000_000])
    (row,) = reader.board.rows
    assert (row.step.subject, row.step.done, row.step.total) == ("files to the other nodes", 3_000_000, 8_000_000)
    prelude.advance(SETTING_UP)
    assert reader.sees == {"job 7": "setup begins"}
    prelude.now(["n0", "n1", "n2"], None)
    prelude.line(SETUP + 1, b"half of it")
    prelude.line(1, b"what a rank says")
    prelude.line(NOTE, b"a note")
    assert reader.sees == {"setup on n0": "", "setup on n1": "half of it", "setup on n2": ""}
    prelude.now(["n1", "n2"], None)
    prelude.line(SETUP, b"a line that came late")
    prelude.advance(SETTING_UP)
    assert reader.sees == {"setup on n1": "half of it", "setup on n2": ""}
    prelude.now([], None)
    prelude.advance(RUNNING)
    prelude.line(SETUP + 1, b"later still")
    assert reader.sees == {}
    assert reader.lines == [], "who follows prints the lines"


def test_a_keeper_that_does_not_tell() -> None:
    reader = Reader()
    prelude = Prelude(reader)
    prelude.advance(SETTING_UP)
    prelude.line(SETUP + 2, b"step 1")
    prelude.line(SETUP + 9, b"of a node that nobody knows")
    assert reader.sees == {"job 7": "setup begins", "setup on n2": "step 1"}
    prelude.advance(RUNNING)
    prelude.line(SETUP + 2, b"late")
    assert reader.sees == {}


def test_who_stops_following_sees_nothing_more() -> None:
    reader = Reader()
    prelude = Prelude(reader)
    prelude.advance(PENDING)
    prelude.close()
    assert reader.sees == {}
