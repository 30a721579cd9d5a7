"""A training on nodes that vanish ends as one that was left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from spot_run import SpotRun, Told, launched, leftovers
from user import User, end_nodes, until

from bench import record

pytestmark = pytest.mark.e2e

STEPS, SAVED_EVERY = 1000, 10

SMALL = "--text 200000 --batch 2 --log-every 1"


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Somebody who trains on spot nodes."""
    found = User(tmp_path_factory.mktemp("spot"), f"s{time.monotonic_ns() % 100000}")
    try:
        yield found
    finally:
        end_nodes(found.home)


def told(run: SpotRun, seconds: float, attempts: int | None = None) -> Told:
    """What a run printed that ended well."""
    row = run.ended(seconds)
    log = run.log()
    assert (row["status"], row["exit_code"]) == ("SUCCEEDED", 0), f"{row}\n{log[-3000:]}"
    return Told.of(log)


def same(alone: Told, end: Told, steps: int) -> None:
    """Both runs learnt the same. What a head printed last goes with it: only steps before one from which the training
    went on may be missing in the log."""
    assert sorted(alone.losses) == list(range(1, steps + 1))
    assert end.val == pytest.approx(alone.val, rel=1e-4)
    both = sorted(alone.losses.keys() & end.losses.keys())
    assert [end.losses[step] for step in both] == pytest.approx([alone.losses[step] for step in both], rel=1e-3)
    missing = alone.losses.keys() - end.losses.keys()
    assert all(any(step <= after < step + SAVED_EVERY * 2 for after in end.resumed) for step in missing), missing
    assert both[-1] == steps


@pytest.mark.soak
def test_a_node_is_lost_and_the_training_ends_the_same(person: User, tmp_path: Path) -> None:
    run = launched(person, tmp_path, steps=16, save_every=4, words=SMALL)
    until(lambda: Told.of(run.log()).losses.keys() >= {6}, "it trains", 90)
    first = run.nodes()
    run.kill("n1")
    end = told(run, 120)
    row = run.row()
    assert sorted(end.losses) == list(range(1, 17))
    assert row["recoveries"] == 1
    (back,) = row["recovered"]
    assert (back["cause"], back["nodes"]) == ("node", ["n1"])
    assert end.resumed[-1] >= 4
    assert run.lives["n0"] == [first["n0"]]
    assert len(run.lives["n1"]) == 2
    until(lambda: not leftovers(person), "nothing is left", 90)


@pytest.mark.soak
def test_twenty_preemptions(person: User, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("--faults-seed") or time.time_ns() % 100000
    size = {"steps": STEPS, "save_every": SAVED_EVERY, "words": SMALL}
    alone = told(launched(person, tmp_path, **size), 600)  # type: ignore[arg-type]
    run, began = launched(person, tmp_path, **size), time.monotonic()  # type: ignore[arg-type]
    until(lambda: Told.of(run.log()).losses, "it trains", 90)
    run.preempt(20, 8.0, seed, 1800)
    end, took = told(run, 1200), time.monotonic() - began
    row = run.row()
    same(alone, end, STEPS)
    assert len(run.killed) == 20, f"only {len(run.killed)} preemptions (seed {seed})"
    replaced = {name: len(pids) - 1 for name, pids in run.lives.items()}
    assert replaced == {name: run.killed.count(name) for name in run.lives}, f"seed {seed}: {row['recovered']}"
    until(lambda: not leftovers(person), "nothing is left", 90)
    outcome = {
        "preemptions": len(run.killed), "recoveries": row["recoveries"], "took_s": round(took, 1),
        "val_loss": end.val, "val_loss_alone": alone.val, "replaced": replaced,
    }  # fmt: skip
    record.write("managed-preemptions", outcome, counts={"nodes": 2, "steps": STEPS}, seed=seed)
