"""Who works tells steps: the engine's stream, a transfer, waiting for a stack. Without a screen, lines as ever."""

from __future__ import annotations

from typing import Any

import pytest
from live_reader import Reader

from skyrig.errors import StackBusy
from skyrig.fleet.place import WORKDIR
from skyrig.fleet.progress import Meter, Progress, summed
from skyrig.launch.files import Lines, Share, Steps, Watcher
from skyrig.progress import Kind, Step, activity, tell
from skyrig.stack.lock import Waiting
from skyrig.stack.progress import Progress as EngineProgress


def event(kind: str, name: str, op: str, type_: str = "skyrig:x:Node", custom: bool = True) -> dict[str, Any]:
    urn = f"urn:pulumi:dev::skyrig::{type_}::{name}"
    return {kind: {"metadata": {"urn": urn, "op": op, "type": type_, "new": {"custom": custom}}}}


def test_resources_are_seen_from_their_beginning_to_their_end() -> None:
    reader = Reader()
    progress = EngineProgress(reader)
    for name in ("n0", "n1", "n2"):
        progress(event("resourcePreEvent", name, "create"))
    progress(event("resourcePreEvent", "key", "same"))
    progress(event("resourcePreEvent", "group", "create", custom=False))
    progress(event("resourcePreEvent", "dev", "create", "pulumi:pulumi:Stack"))
    assert reader.sees == dict.fromkeys(("n0", "n1", "n2"), "being created")
    progress(event("resOutputsEvent", "n0", "create"))
    progress(event("resOpFailedEvent", "n1", "create"))
    assert reader.sees == {"n2": "being created"}
    progress.close()
    assert reader.sees == {}, "what a run that was cut off has left goes on no more"
    assert [line.partition(" (")[0] for line in reader.lines] == ["  n0 created"]
    assert str(progress.changes) == "1 made"


def test_a_refresh_that_finds_a_node_gone_says_so_once() -> None:
    reader = Reader()
    progress = EngineProgress(reader)
    gone = event("resOutputsEvent", "n0", "refresh")
    metadata = gone["resOutputsEvent"]["metadata"]
    metadata["old"], metadata["new"] = metadata["new"], None
    progress(event("resourcePreEvent", "n0", "refresh"))
    assert reader.sees == {"n0": "being looked at"}
    progress(gone)
    assert (reader.sees, reader.lines) == ({}, ["  n0 is gone"])


def test_a_transfer_is_seen_in_bytes_target_by_target_and_otherwise_told_in_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("skyrig.fleet.progress.time.monotonic", lambda: clock[0])
    shares = [
        Share(WORKDIR.target, 12, 12, 24_000_000, same=False, own=24_000_000),
        Share("/same", 3, 3, 6_000_000, same=False, own=0),
        Share("/data", 8, 9, 16_000_000, same=False, own=16_000_000),
    ]
    seeing, reading = Reader(), Reader(live=False)
    steps, lines = Steps(seeing, "n0"), Lines(reading)
    assert seeing.sees == {"files to n0": "what is to be sent?"}
    watchers: list[Watcher] = [steps, lines]
    for watcher in watchers:
        watcher.begins(shares)
        count = Meter(watcher.moves, every_s=watcher.every_s)
        count.expect(20, 40_000_000)
        for _ in range(20):
            clock[0] += 0.15
            count.add(1, 2_000_000)
        count.finish()
    told = [str(share) for share in shares]
    assert seeing.lines == told
    at_work = [step for step in seeing.told if step.total and not step.ended]
    assert [step.done for step in at_work if step.subject == "files to n0"] == [2_000_000 * n for n in range(12)]
    assert [step.done for step in at_work if step.subject != "files to n0"] == [2_000_000 * n for n in range(9)]
    assert {(step.subject, step.total) for step in at_work} == {
        ("files to n0", 24_000_000),
        ("files of /data to n0", 16_000_000),
    }
    assert seeing.sees == {"files of /data to n0": ""}, "it ends with the head's answer, not with its last byte"
    steps.close()
    assert seeing.sees == {}
    assert reading.lines[:4] == [*told, "  7 of 20 files, 14.0 of 40.0 MB"]
    assert reading.lines[-1] == "  20 of 20 files, 40.0 of 40.0 MB"
    assert len(reading.lines) == 6


def test_files_that_are_all_there_are_looked_at_and_that_is_all() -> None:
    reader = Reader()
    steps = Steps(reader, "n0")
    steps.begins([Share(WORKDIR.target, 0, 12, 0, same=True)])
    assert (reader.sees, reader.lines) == ({"files to n0": "what is to be sent?"}, ["files: nothing changed"])
    steps.close()
    assert reader.sees == {}


def test_transfers_at_one_time_are_told_as_one() -> None:
    told: list[Progress] = []
    part = summed(told.append)
    first, second = part(), part()
    first(Progress(1, 4, 10, 40, 1.0))
    second(Progress(2, 5, 20, 50, 3.0))
    first(Progress(4, 4, 40, 40, 2.0))
    assert told == [Progress(1, 4, 10, 40), Progress(3, 9, 30, 90), Progress(6, 9, 60, 90)]
    assert told[-1].seconds == 3.0


def test_waiting_for_a_stack_is_seen_as_long_as_it_lasts() -> None:
    reader = Reader()
    waiting = Waiting("dev", reader, 30.0)
    holders = iter(["ann's `up`", "ann's `up`", None])

    def holder() -> str | None:
        assert reader.sees in ({}, {"stack dev": "held by ann's `up`"})
        return next(holders)

    waiting.until_free(holder)
    assert [step.ended for step in reader.told] == [False, False, True]
    assert reader.lines == [], "a moment is not worth a line"


def test_waiting_in_vain_leaves_nothing_behind() -> None:
    reader = Reader()
    with pytest.raises(StackBusy):
        Waiting("dev", reader, 0.1).until_free(lambda: "ann's `up`")
    assert reader.sees == {}


def test_an_activity_ends_with_its_block_however_that_ends() -> None:
    reader = Reader()
    with pytest.raises(ZeroDivisionError), activity(reader, Step(Kind.WAIT, "n0", "is being reached")):
        assert reader.sees == {"n0": "is being reached"}
        raise ZeroDivisionError
    assert reader.sees == {}


def test_plain_functions_get_lines_alone() -> None:
    lines: list[str] = []
    with activity(lines.append, Step(Kind.WAIT, "n0")):
        tell(lines.append, Step(Kind.SYNC, "n0"), plain="a line")
        tell(lines.append, Step(Kind.SYNC, "n0"))
    assert lines == ["a line"]
