"""A job's samples on the head: bounded, whole after any kill, and copied as they are."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skyrig.launch.keeper import archive, samplebook
from skyrig.launch.keeper.samplebook import SampleBook
from skyrig.launch.keeper.sampler import Sampler


def sample(at: int, node: int = 0) -> dict[str, float | str]:
    """One of a node."""
    return {"t": float(at), "n": f"n{node}", "cpu": float(at % 7), "gpu": 50.0}


def test_a_long_job_has_samples_of_its_whole_time_in_a_file_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplebook, "MOST_OF_NODE", 10)
    path = tmp_path / "job.samples"
    book = SampleBook(path, 2, most=100)
    for at in range(2000):
        for node in range(2):
            book.add(sample(at, node))
    generation, found, whole = samplebook.read(path)
    assert whole
    assert generation == 6
    for node in ("n0", "n1"):
        times = [each["t"] for each in found if each["n"] == node]
        assert 20 <= len(times) <= 50
        assert times == sorted(times)
        assert times[0] < 64 and times[-1] > 1900
        assert {b - a for a, b in pairwise(times)} == {64.0}, "each stands for as many"
    assert all(each["gpu"] == 50.0 for each in found)
    mean = sum(each["cpu"] for each in found) / len(found)
    assert mean == pytest.approx(3, abs=0.1)


def test_a_keeper_that_comes_after_one_that_was_killed_writes_on(tmp_path: Path) -> None:
    path = tmp_path / "job.samples"
    first = SampleBook(path, 1)
    for at in range(3):
        first.add(sample(at))
    with path.open("ab") as file:
        file.write(b'{"t":3.0,"n":"n0","cp')
    SampleBook(path, 1).add(sample(4))
    _, found, whole = samplebook.read(path)
    assert whole and [each["t"] for each in found] == [0, 1, 2, 4]


@pytest.mark.parametrize("left", [b"", b"{", b"garbage\n", b'{"generation":"x"}\n', b"\xff\n\n"])
def test_a_file_that_is_none_is_begun_anew(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "job.samples"
    path.write_bytes(left)
    SampleBook(path, 1).add(sample(1))
    assert samplebook.read(path) == (0, [sample(1)], True)


def test_the_copy_grows_with_the_file_and_is_made_anew_with_it(tmp_path: Path) -> None:
    source, target = tmp_path / "here", tmp_path / "there"
    archive.follow(source, target)
    assert not target.exists()
    book = SampleBook(source, 1, most=250)
    for at in range(600):
        book.add(sample(at))
        if at % 17 == 0:
            archive.follow(source, target)
            assert target.read_bytes() == source.read_bytes()
    assert json.loads(target.read_bytes().partition(b"\n")[0]) == {"generation": 2}


@pytest.mark.parametrize(("begun_s_ago", "written"), [(60, True), (2, False), (-3600, True)])
def test_jobs_that_have_run_for_a_while_have_samples_also_when_the_clock_was_put_back(
    tmp_path: Path, begun_s_ago: float, written: bool
) -> None:
    record = SimpleNamespace(started_at=time.time() - begun_s_ago)
    running = SimpleNamespace(is_sampled=True, record=record, plan=SimpleNamespace(shares={"n0": 1}))
    house: Any = SimpleNamespace(flows={1: running}, log_path=lambda record: tmp_path / "job.log")
    node: Any = SimpleNamespace(id="n0")
    Sampler(house)._take(node, {"cpu": 1.5, "name": "not a number"})
    found = samplebook.read(tmp_path / "job.samples")[1]
    assert [(each["n"], each["cpu"], "name" in each) for each in found] == ([("n0", 1.5, False)] if written else [])
