"""Logs as programs print them, and the curves that they make: each NAME.log in cases/ with its NAME.json."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from skyrig.plots import metrics
from skyrig.plots.gathering import Gathering, of_text
from skyrig.plots.values import Training

CASES = sorted((Path(__file__).parent / "cases").glob("*.log"))


def plain(found: Training) -> dict[str, Any]:
    """As the cases have it: points, by the names of curves."""
    return {
        "axis": found.axis,
        "curves": {
            curve.name: [[list(point) for point in zip(each.x, each.y, strict=True)] for each in curve.segments]
            for curve in found.curves
        },
        "marks": [[mark.x, mark.what] for mark in found.marks],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_log_makes_these_curves(case: Path) -> None:
    assert plain(of_text(case.read_bytes())) == json.loads(case.with_suffix(".json").read_text())


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_it_does_not_matter_in_which_pieces_a_log_comes(size: int) -> None:
    for case in CASES:
        data, found = case.read_bytes(), Gathering()
        for at in range(0, len(data), size):
            found.write(data[at : at + size])
        found.end()
        assert found.training() == of_text(data), case.name


def test_what_is_known_grows_with_the_log() -> None:
    found = Gathering()
    found.write(b"step 1 loss 2.0\nstep 2 lo")
    assert plain(found.training())["curves"] == {"loss": [[[1.0, 2.0]]]}
    found.write(b"ss 1.5\n")
    assert plain(found.training())["curves"] == {"loss": [[[1.0, 2.0], [2.0, 1.5]]]}


def test_a_bar_that_never_ends_its_line_is_read_as_it_is_drawn() -> None:
    """More of it than is held of a line that has not ended; it is told apart by rank and process nonetheless."""
    for begin in (b"", b"(rank 0, n0) ", b"(rank 0, n0) [rank0]: "):
        found = Gathering()
        found.write(b"(rank 1, n1) step 1 loss 9\n" + begin)
        for step in range(1, 2001):
            found.write(b"\r%d%%|#####| %d/2000 [00:02<00:06, 4.90it/s, loss=%.3f]" % (step // 20, step, 9 / step))
        (segment,) = found.training().curves[0].segments
        assert (segment.x[0], segment.x[-1], len(segment.x)) == (1, 1999, 1999), "the last is not known to be whole"
        found.end()
        assert found.training().curves[0].segments[0].x[-1] == 2000


def test_a_long_run_is_thinned_and_keeps_its_ends() -> None:
    lines = b"".join(b"step %d loss %.4f\n" % (step, 1 / step) for step in range(1, 100_001))
    (curve,) = of_text(lines).curves
    (segment,) = curve.segments
    assert len(segment.x) <= 2000
    assert segment.x[0] == 1
    assert segment.x[-1] == 100_000
    assert max(later - x for x, later in pairwise(segment.x)) < 200, "its beginning as much as its end"
    assert all(y == pytest.approx(1 / x, abs=1e-4) for x, y in zip(segment.x, segment.y, strict=True))


def test_the_state_of_transformers_trainer_and_json_lines_are_read(tmp_path: Path) -> None:
    history = [{"epoch": 0.5, "step": 5, "loss": 1.5, "learning_rate": 1e-4}, {"epoch": 1.0, "step": 10, "loss": 1.25}]
    state = {"best_metric": None, "global_step": 10, "log_history": history, "max_steps": 10}
    (tmp_path / "out" / "checkpoint-10").mkdir(parents=True)
    (tmp_path / "out" / "checkpoint-10" / "trainer_state.json").write_text(json.dumps(state, indent=2))
    found = plain(metrics.of_file(tmp_path))
    assert found["axis"] == "step"
    assert found["curves"] == {"loss": [[[5, 1.5], [10, 1.25]]], "learning rate": [[[5, 1e-4]]]}
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "lo')
    assert plain(metrics.of_file(tmp_path / "metrics.jsonl"))["curves"] == {"loss": [[[1, 3.0]]]}


TABLES = {
    "step,loss,lr,note\n1,3.0,0.001,a\n2,2.5,1e-05,loss 9\n3,,,": {
        "loss": [[[1, 3], [2, 2.5]]],
        "learning rate": [[[1, 1e-3], [2, 1e-5]]],
    },
    "epoch,step,train_loss,val_loss\r\n0,49,2.5,\r\n0,99,2.25,\r\n0,99,,2.3\r\n": {
        "loss": [[[49, 2.5], [99, 2.25]]],
        "val loss": [[[99, 2.3]]],
    },
    "epoch,accuracy,loss\n0,0.5,2.0\n1,0.6,1.5\n": {"loss": [[[0, 2.0], [1, 1.5]]]},
}


@pytest.mark.parametrize(("table", "curves"), TABLES.items(), ids=["plain", "lightning", "keras"])
def test_tables_are_read(table: str, curves: dict[str, Any]) -> None:
    assert plain(metrics.of_bytes(table.encode()))["curves"] == curves
